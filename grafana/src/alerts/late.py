"""Alerts about waiting: somebody's job is late, will be, or could be without anyone knowing.

Burn rates are those of a freshness objective of 99 %: of 30 days, 7.2 hours may be stale. 14.4
times that pace spends 2 % of the budget in an hour, 6 times spends 5 % in six.
"""

from __future__ import annotations

from grafana.src.alerts.alert import PER_GROUP, Alert

# Set by hand. An alert: what it asks and when it is on, where to look, what it says.
# fmt: off

FAST = 14.4 * 0.01
SLOW = 6 * 0.01
STALE = "avg_over_time(queue:jobs_stale:bool[{}])"
LADDER = 'tier!="main"'
# The series of a process end with it. Where nobody measures any more, what counts is for how long.
MEASURED = "(max by (app) ({0}) or time() - max by (app) (max_over_time(timestamp({0})[1d:1m])))"

LATE = (
    Alert("JobsFreshnessBurnFast", "page",
          f"{STALE.format('1h')} > {FAST:g} and {STALE.format('5m')} > {FAST:g}",
          board="jobstream-lag", panel="overdue",
          summary="Jobs of queue {{ $labels.queue }} are late, and have been for a while",
          description="Of the last hour, jobs of queue {{ $labels.queue }} ({{ $labels.app }}) "
                      "were overdue beyond the queue's objective for "
                      "{{ $value | humanizePercentage }}, and they are now. At this pace the "
                      "month's budget is gone in two days."),
    Alert("JobsFreshnessBurnSlow", "page",
          f"{STALE.format('6h')} > {SLOW:g} and {STALE.format('30m')} > {SLOW:g}",
          board="jobstream-overview", panel="share",
          summary="Jobs of queue {{ $labels.queue }} are late again and again",
          description="Of the last six hours, jobs of queue {{ $labels.queue }} "
                      "({{ $labels.app }}) were overdue beyond the queue's objective for "
                      "{{ $value | humanizePercentage }}. At this pace the month's budget is gone "
                      "in five days."),
    Alert("JobsQueueBehind", "ticket",
          "queue:jobs_lag_seconds:max / queue:jobs_queue_objective_seconds:max",
          above=1, lasts="5m", board="jobstream-lag", panel="overdue",
          summary="Queue {{ $labels.queue }} is behind its objective",
          description="The oldest job of queue {{ $labels.queue }} ({{ $labels.app }}) is overdue "
                      "by {{ $value | humanizePercentage }} of what the queue's objective allows."),
    Alert("JobsNoWorkers", "page",
          "sum by (app, group) (place:jobs_lag_records:max) > 0 "
          "and on (app, group) group:jobs_group_members:max == 0",
          lasts="1m", board="jobstream-overview", panel="members", by=PER_GROUP,
          summary="No process serves group {{ $labels.group }}",
          description="{{ $value }} records wait for group {{ $labels.group }} "
                      "({{ $labels.app }}), which has no member: nothing of it runs."),
    Alert("JobsPartitionStalled", "page",
          "(max by (app, group, topic, partition, queue) (jobs_partition_stalled) == 1 "
          "and on (app, group, topic, partition) place:jobs_lag_seconds:max "
          "> on (app, queue) group_left () queue:jobs_queue_objective_seconds:max) "
          "unless on (app, queue) "
          '(sum by (app, queue) (jobs_partitions_paused{reason="operator"}) > 0)',
          lasts="1m", board="jobstream-lag", panel="partitions",
          summary="Partition {{ $labels.partition }} of {{ $labels.topic }} stands still",
          description="Group {{ $labels.group }} ({{ $labels.app }}) has members, jobs of queue "
                      "{{ $labels.queue }} are overdue beyond its objective on partition "
                      "{{ $labels.partition }} of {{ $labels.topic }}, and its place has not "
                      "moved for minutes (stalled: {{ $value }}). The other partitions may be "
                      "well."),
    Alert("JobsDelayerLate", "ticket",
          f"max by (app, queue, tier) (place:jobs_lag_seconds:max{{{LADDER}}})",
          above=60, lasts="2m", board="jobstream-lag", panel="rungs-overdue",
          summary="Delayed jobs of queue {{ $labels.queue }} do not come back in time",
          description="A job that waits on rung {{ $labels.tier }} of queue {{ $labels.queue }} "
                      "({{ $labels.app }}) is overdue by {{ $value | humanizeDuration }}: retries "
                      "and delayed jobs start late."),
    Alert("JobsRetentionAtRisk", "page",
          "max by (app, topic, queue) (jobs_retention_used_ratio) > 0.5 or (sum by "
          "(app, group, topic) (increase(jobs_lost_to_retention_records_total[1h])) > 0) * 0 + 1",
          lasts="5m", board="jobstream-lag", panel="retention",
          summary="Jobs in {{ $labels.topic }} are close to being deleted unrun",
          description="The oldest unfinished job of {{ with $labels.queue }}queue {{ . }} in "
                      "{{ end }}{{ $labels.topic }} ({{ $labels.app }}) has used "
                      "{{ $value | humanizePercentage }} of the topic's retention. At 100 % Kafka "
                      "deletes it, and it is lost."),
    Alert("JobsLagBlind", "page",
          "time() - max by (app) "
          "(last_over_time(jobs_collect_last_success_timestamp_seconds[1d])) > 120 "
          "or absent(jobs_collect_last_success_timestamp_seconds)",
          lasts="1m", board="jobstream-overview", panel="age-of-values", by=("app",), watch=True,
          summary="Lateness of jobs is not measured",
          description="The lag exporter {{ with $labels.app }}of {{ . }} {{ end }}has not seen "
                      "the cluster for more than two minutes (value: {{ $value }}). Every alert "
                      "about lag is silent until it does."),
    Alert("JobsViewsBehind", "ticket", MEASURED.format("jobs_views_behind_seconds"),
          above=60, lasts="5m", board="jobstream-overview", panel="views-behind", by=("app",),
          summary="Answers about the jobs of {{ $labels.app }} are old",
          description="The database of all jobs of {{ $labels.app }} is "
                      "{{ $value | humanizeDuration }} behind the log, or nobody has kept it up "
                      "for so long: pages and queries are as old. Jobs are run and enqueued as "
                      "before."),
    Alert("JobsOutboxBehind", "page", MEASURED.format("jobs_outbox_oldest_seconds"),
          above=60, lasts="2m", board="jobstream-outbox", panel="outbox-age", by=("app",),
          summary="Jobs of {{ $labels.app }} wait in a database",
          description="A job that a service of {{ $labels.app }} committed to its outbox has "
                      "waited {{ $value | humanizeDuration }} to be published, or no relay has "
                      "run for so long. It is safe there, and late."),
    Alert("JobsCanaryMissing", "page",
          "time() - max by (app, queue) "
          "(last_over_time(jobs_canary_last_success_timestamp_seconds[1d]))",
          above=180, lasts="1m", board="jobstream-overview", panel="canary-age",
          summary="Canary jobs of queue {{ $labels.queue }} do not come through",
          description="No canary job of queue {{ $labels.queue }} ({{ $labels.app }}) was seen "
                      "done for {{ $value | humanizeDuration }}: either jobs are not being run, "
                      "or the canary is away."),
)
