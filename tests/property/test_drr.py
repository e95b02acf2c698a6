"""Slots go round: each flow has its share, comes soon, in order, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobstream_processors.core.drr import Drr

WEIGHTS = st.lists(st.integers(1, 20), min_size=2, max_size=5)
COSTS = st.integers(1, 50)
QUANTUM = 10


@given(WEIGHTS, st.data())
def test_flows_with_items_have_their_shares(weights: list[int], data: st.DataObject) -> None:
    costs = [data.draw(COSTS) for _ in weights]
    drr: Drr[tuple[int, int]] = Drr()
    for flow, weight in enumerate(weights):
        for number in range(400):
            drr.add(str(flow), (flow, number), weight)

    used = [0] * len(weights)
    for _ in range(300):
        flow, _ = drr.next(QUANTUM, lambda name: costs[int(name)])
        used[flow] += costs[flow]
        # Ahead of another by a turn, and by what each may have saved: less than a job.
        for one, its in zip(used, weights, strict=True):
            for other, others in zip(used, weights, strict=True):
                assert one / its - other / others <= QUANTUM + 2 * max(costs)


@given(WEIGHTS, st.lists(st.integers(1, 30), min_size=5, max_size=5), st.integers(0, 200))
def test_the_first_item_of_a_flow_comes_within_one_round(
    weights: list[int], counts: list[int], served: int
) -> None:
    drr: Drr[tuple[int, int]] = Drr()
    for flow, weight in enumerate(weights):
        for number in range(10 * counts[flow] + 200):
            drr.add(str(flow), (flow, number), weight)
    for _ in range(served):
        drr.next(1, lambda _: 1)

    drr.add("new", (-1, 0))
    waited = 0
    while drr.next(1, lambda _: 1) != (-1, 0):
        waited += 1

    assert waited <= sum(weights)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3), COSTS),
            st.tuples(st.just("next"), st.integers(0, 3), COSTS),
            st.tuples(st.just("remove"), st.integers(0, 3), COSTS),
        ),
        max_size=120,
    )
)
def test_whatever_comes_goes_once_and_in_the_order_of_its_flow(
    steps: list[tuple[str, int, int]],
) -> None:
    drr: Drr[int] = Drr()
    waiting: dict[int, list[int]] = {flow: [] for flow in range(4)}
    for number, (what, flow, cost) in enumerate(steps):
        if what == "add":
            drr.add(str(flow), number, flow + 1)
            waiting[flow].append(number)
        elif what == "remove" and waiting[flow]:
            drr.remove(str(flow), waiting[flow].pop(cost % len(waiting[flow])))
            drr.remove(str(flow), -1)
        elif what == "next" and len(drr):
            item = drr.next(cost, lambda name: 7 * int(name) + 1)
            (of,) = [each for each in waiting.values() if item in each]
            assert of.pop(0) == item
        assert len(drr) == sum(map(len, waiting.values()))
        assert [drr.count(str(each)) for each in range(4)] == [*map(len, waiting.values())]
