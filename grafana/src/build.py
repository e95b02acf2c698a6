"""From our panels to Grafana's JSON, by Grafana's own builders.

Positions are set here from what the panels say: the library's automatic layout lets panels run over
the right edge. Nothing here knows what a panel is about.
"""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import TYPE_CHECKING

from grafana.src.panel import Figure, Graph, Table
from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shape
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grafana.src.panel import Board, Panel, Query, Step

SOURCE = shape.DataSourceRef(type_val="prometheus", uid="${datasource}")
Override = model.DynamicConfigValue
LABEL_WIDTH = 260
"""Pixels for the first of several labels: a topic's name."""


def render(board: Board, boards: Iterable[Board]) -> str:
    """The JSON file of a board, linked to all the others."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.question)
        .tags(["jobstream"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .timezone(shape.TimeZoneBrowser)
        .refresh("30s")
    )
    for variable in _variables(board):
        built = built.with_variable(variable)
    for other in boards:
        if other.uid != board.uid:
            built = built.link(_link(other))
    for number, panel in enumerate(board.panels, 1):
        built = built.with_panel(_panel(number, panel))
    return json.dumps(built.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _link(board: Board) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(board.title)
        .type(model.DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(board.question)
        .url(f"/d/{board.uid}")
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def _variables(board: Board) -> list[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    found = [
        _values("app", "App", "label_values(jobs_build_info, app)"),
        _values("queue", "Queue", 'label_values(jobs_queue_objective_seconds{app=~"$app"}, queue)'),
    ]
    if board.with_job_type:
        query = 'label_values(jobs_settled_total{app=~"$app",queue=~"$queue"}, job_type)'
        found.append(_values("job_type", "Job type", query).regex("/^(?!_canary$).*/"))
    return [source, *found]


def _values(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """A variable with the values of a label. All is `.*`, so it also fits where there is none."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": "StandardVariableQuery"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(number: int, panel: Panel) -> timeseries.Panel | stat.Panel | table.Panel:
    match panel:
        case Graph():
            built: timeseries.Panel | stat.Panel | table.Panel = _graph(panel)
        case Figure():
            built = _figure(panel)
        case Table():
            built = _table(panel)
        case _:
            message = f"{type(panel).__name__} is no kind of panel"
            raise TypeError(message)
    at = panel.at
    return (
        built.id(number)
        .title(panel.title)
        .description(panel.meaning)
        .datasource(SOURCE)
        .unit(panel.unit)
        .grid_pos(model.GridPos(h=at.h, w=at.w, x=at.x, y=at.y))
    )


def _graph(panel: Graph) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    built = (
        timeseries.Panel()
        .min(0)
        .line_width(0 if panel.stacked else 2)
        .fill_opacity(70 if panel.stacked else 8)
        .show_points(shape.VisibilityMode.NEVER)
        .color_scheme(_colors(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(
            legend.display_mode(shape.LegendDisplayMode.LIST)
            .placement(shape.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(shape.TooltipDisplayMode.MULTI)
            .sort(shape.SortOrder.DESCENDING)
        )
    )
    if panel.top is not None:
        built = built.max(panel.top)
    if panel.stacked:
        built = built.stacking(common.StackingConfig().mode(shape.StackingMode.NORMAL).group("A"))
    if panel.steps:
        dashed = common.GraphThresholdsStyleConfig().mode(shape.GraphThresholdsStyleMode.DASHED)
        built = built.thresholds(_thresholds(panel.steps)).thresholds_style(dashed)
    for ref, query in zip(ascii_uppercase, panel.queries, strict=False):
        built = built.with_target(_target(ref, query))
        if query.dashed:
            built = built.override_by_query(ref, _dashes())
    for name, color in panel.colors:
        fixed = Override("color", {"mode": "fixed", "fixedColor": color})
        built = built.override_by_name(name, [fixed])
    return built


def _dashes() -> list[Override]:
    return [
        Override("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        Override("custom.fillOpacity", 0),
    ]


def _figure(panel: Figure) -> stat.Panel:
    built = (
        stat.Panel()
        .thresholds(_thresholds(panel.steps))
        .color_scheme(_colors(model.FieldColorModeId.THRESHOLDS))
        .color_mode(shape.BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(shape.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .text_mode(shape.BigValueTextMode.AUTO)
    )
    if panel.decimals is not None:
        built = built.decimals(panel.decimals)
    if panel.no_value:
        built = built.no_value(panel.no_value)
    if panel.words:
        told = {
            str(value): model.ValueMappingResult(text=word, color=color)
            for value, word, color in panel.words
        }
        built = built.mappings([model.ValueMap(options=told)])
    for ref, query in zip(ascii_uppercase, panel.queries, strict=False):
        built = built.with_target(_target(ref, query))
    return built


def _table(panel: Table) -> table.Panel:
    """Instant queries joined by their labels; "Value #A" is how Grafana names what A found."""
    sort = common.TableSortByFieldState().display_name(panel.sort_by).desc(desc=True)
    built = (
        table.Panel()
        .sort_by([sort])
        .min_width(60)
        .color_scheme(_colors(model.FieldColorModeId.THRESHOLDS))
    )
    names = dict(panel.labels)
    for ref, column in zip(ascii_uppercase, panel.columns, strict=False):
        names[f"Value #{ref}"] = column.name
        query = prometheus.Dataquery().expr(column.expr).ref_id(ref).instant()
        built = built.with_target(query.format(PromQueryFormat.TABLE).datasource(SOURCE))
        properties = [Override("unit", column.unit)]
        if column.decimals is not None:
            properties.append(Override("decimals", column.decimals))
        if column.no_value:
            properties.append(Override("noValue", column.no_value))
        if column.steps:
            properties += [
                Override("thresholds", _thresholds(column.steps).build()),
                Override("custom.cellOptions", {"type": "color-background", "mode": "basic"}),
            ]
        built = built.override_by_name(column.name, properties)
    first, *others = panel.labels
    if others:
        built = built.override_by_name(first[1], [Override("custom.width", LABEL_WIDTH)])
    if panel.link is not None:
        label, uid = panel.link
        url = f"/d/{uid}?var-{label}=${{__value.text}}&${{__url_time_range}}&${{app:queryparam}}"
        link = [{"title": "Look closer", "url": url}]
        built = built.override_by_name(names[label], [Override("links", link)])
    order = {name: place for place, name in enumerate(names)}
    shown = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names}
    return built.with_transformation(
        model.DataTransformerConfig(id_val="merge", options={})
    ).with_transformation(model.DataTransformerConfig(id_val="organize", options=shown))


def _target(ref: str, query: Query) -> prometheus.Dataquery:
    built = prometheus.Dataquery().expr(query.expr).ref_id(ref).datasource(SOURCE).range()
    return built.legend_format(query.legend) if query.legend else built


def _colors(mode: model.FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def _thresholds(steps: tuple[Step, ...]) -> dashboard.ThresholdsConfig:
    """The first colour holds below its own step as well: Grafana wants it to start nowhere."""
    first, *others = steps
    made = [
        model.Threshold(value=None, color=first.color),
        *(model.Threshold(value=step.at, color=step.color) for step in others),
    ]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(made)
