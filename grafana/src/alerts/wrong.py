"""Alerts about something going wrong that nobody needs to get up for: all of them are tickets."""

from __future__ import annotations

from grafana.src.alerts.alert import PER_GROUP, Alert

# Set by hand. An alert: what it asks and when it is on, where to look, what it says.
# fmt: off

RUNS_MIN = 20
"""A ratio of less than this many runs says nothing."""
FAILED = 'sum by (app) (increase(jobs_http_requests_total{status=~"5.."}[10m]))'
FAILED_MIN = 5
"""Up to so many failed answers of the API in ten minutes are no news."""
BROKEN = 'max by (app, schedule, why) (jobs_schedules_broken{why!="undeclared"}) > 0'
SCHEDULED = "max by (app) (max_over_time(jobs_schedules_owned[1d])) > 0"
DECLARED = "max by (app) (jobs_schedules_declared) > 0"
UNSEEN = f"({DECLARED} or {SCHEDULED}) unless on (app) jobs_schedules_owned"
"""Apps whose code declares schedules, or that had some, and have no process that fires any."""

WRONG = (
    Alert("JobsDeadLetters", "ticket",
          'max by (app, queue, job_type, reason) (jobs_open_dead_letters{job_type!="_canary"}) > 0',
          board="jobstream-jobs", panel="open", by=("app", "queue", "job_type", "reason"),
          summary="Dead letters of {{ $labels.job_type }} wait for a decision",
          description="{{ $value }} jobs of type {{ $labels.job_type }} on queue "
                      "{{ $labels.queue }} ({{ $labels.app }}) were given up: "
                      "{{ $labels.reason }}. They wait to be redriven or discarded."),
    Alert("JobsOutboxRowsSetAside", "ticket", "max by (app) (jobs_outbox_set_aside_rows)",
          above=0, board="jobstream-outbox", panel="outbox-set-aside", by=("app",),
          summary="Rows of the outbox of {{ $labels.app }} can't be published",
          description="{{ $value }} rows of the outbox of {{ $labels.app }} can't be published as "
                      "they are. `jobstream relay status` says why; they wait to be retried or "
                      "deleted, and hold up no others."),
    Alert("JobsFailureRatioHigh", "ticket",
          "job_type:jobs_failures:rate10m / job_type:jobs_runs:rate10m > 0.2 "
          f"and job_type:jobs_runs:rate10m * 600 > {RUNS_MIN}",
          lasts="5m", board="jobstream-jobs", panel="failing", by=("app", "queue", "job_type"),
          summary="{{ $labels.job_type }} fails often",
          description="{{ $value | humanizePercentage }} of the runs of {{ $labels.job_type }} on "
                      "queue {{ $labels.queue }} ({{ $labels.app }}) failed in the last ten "
                      "minutes. They are retried until their attempts are used up."),
    Alert("JobsHandlersStuck", "ticket", "sum by (app, instance) (jobs_stuck_handlers)",
          above=0, lasts="5m", board="jobstream-workers", panel="stuck", by=("app", "instance"),
          summary="Handlers do not end at their time limit",
          description="{{ $value }} handlers of the worker at {{ $labels.instance }} "
                      "({{ $labels.app }}) are past their time limit and still hold a slot."),
    Alert("JobsFloodGuardClosed", "ticket", "sum by (app, queue) (jobs_flood_guards_closed)",
          above=0, lasts="1m", board="jobstream-workers", panel="flood",
          summary="Queue {{ $labels.queue }} is held: job after job died",
          description="{{ $value }} partitions of queue {{ $labels.queue }} ({{ $labels.app }}) "
                      "are held by their flood guard, since job after job became a dead letter "
                      "there. One is let through now and then, to see."),
    Alert("JobsBreakerOpen", "ticket", "max by (app, breaker) (jobs_breaker_state)",
          above=0, lasts="5m", board="jobstream-waiting", panel="breakers", by=("app", "breaker"),
          summary="Circuit breaker {{ $labels.breaker }} does not close",
          description="Breaker {{ $labels.breaker }} ({{ $labels.app }}) has not been closed on "
                      "every worker for five minutes, its state is {{ $value }}: what its jobs "
                      "call fails, or an operator holds it open. Its jobs wait and lose no "
                      "attempt."),
    Alert("JobsScheduleBroken", "ticket",
          f'{BROKEN} or label_replace({UNSEEN}, "why", "no_scheduler", "", "")',
          lasts="10m", board="jobstream-schedules", panel="broken-schedules",
          by=("app", "schedule", "why"),
          summary="{{ with $labels.schedule }}Schedule {{ . }} can't{{ else }}No schedule "
                  "can{{ end }} fire: {{ $labels.why }}",
          description="For ten minutes {{ with $labels.schedule }}schedule {{ . }}{{ else }}every "
                      "schedule{{ end }} of {{ $labels.app }} has been unable to fire: "
                      "{{ $labels.why }} ({{ $value }}). Its jobs are not made until the cause is "
                      "mended."),
    Alert("JobsApiErrors", "ticket",
          f"{FAILED} / sum by (app) (increase(jobs_http_requests_total[10m])) > 0.05 "
          f"and {FAILED} > {FAILED_MIN}",
          lasts="5m", board="jobstream-web", panel="http-errors", by=("app",),
          summary="The HTTP API of {{ $labels.app }} fails often",
          description="{{ $value | humanizePercentage }} of the answers of the HTTP API and pages "
                      "of {{ $labels.app }} in the last ten minutes were errors of the server "
                      "(5xx). Workers run their jobs without it; who enqueues through it may "
                      "not."),
    Alert("JobsRebalanceStorm", "ticket",
          'sum by (app, group) (increase(jobs_rebalances_total{type="assigned"}[15m])) '
          "/ (group:jobs_group_members:max > 0)",
          above=10, lasts="5m", board="jobstream-workers", panel="rebalances", by=PER_GROUP,
          summary="Group {{ $labels.group }} does not come to rest",
          description="Each member of group {{ $labels.group }} ({{ $labels.app }}) was assigned "
                      "partitions {{ $value | humanize }} times in fifteen minutes. Every time "
                      "some jobs wait for a table to be restored, and some run again."),
    Alert("JobsTargetDown", "ticket", 'up{job=~"jobstream|grafana|alertmanager"} == 0',
          lasts="3m", board="jobstream-workers", panel="assigned",
          by=("app", "job", "role", "instance"), watch=True,
          summary="{{ $labels.job }} at {{ $labels.instance }} does not answer",
          description="Prometheus gets no answer from {{ $labels.instance }} "
                      "({{ $labels.job }}{{ with $labels.app }}, "
                      "{{ . }}{{ end }}{{ with $labels.role }}, {{ . }}{{ end }}); up is "
                      "{{ $value }}. What it measures is missing."),
)
