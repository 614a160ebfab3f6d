"""The list schedule that predictions rest on: its bounds, and what a topology changes in it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.domain.swarms import Topology
from visionflow.engine.topology.makespan import makespan_us
from visionflow.engine.topology.unfinished import Choice, Node, Server, Unfinished, shape_of


def graph(durations: list[int], edges: list[tuple[int, int]], agents: int) -> Unfinished:
    """Tasks of one kind, with these edges, and agents that can all do them."""
    work = Unfinished()
    work.is_known = True
    work.offers = [frozenset({"type:coder"})]
    work.servers = [Server(f"agent_{number}", 0) for number in range(agents)]
    work.groups = [[0]]
    for place, duration in enumerate(durations):
        node = Node((20, place))
        node.group, node.left_us = 0, duration
        work.nodes.append(node)
    for before, after in edges:
        work.nodes[before].after.append(after)
        work.nodes[after].before += 1
        work.edges += 1
    return work


graphs = st.integers(1, 25).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 5_000_000), min_size=count, max_size=count),
        st.sets(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
                lambda pair: pair[0] < pair[1]
            ),
            max_size=40,
        ),
        st.integers(1, 8),
    )
)


@settings(max_examples=300, deadline=None)
@given(graphs)
def test_a_list_schedule_lies_between_the_lower_bound_and_grahams(
    given_graph: tuple[list[int], set[tuple[int, int]], int],
) -> None:
    durations, edges, agents = given_graph
    work = graph(durations, sorted(edges), agents)
    ends = list(durations)
    for after in range(len(durations)):
        before = [ends[a] for a, b in edges if b == after]
        ends[after] += max(before, default=0)
    critical, total = max(ends), sum(durations)
    found = makespan_us(work, Topology.STAR, 0)
    assert max(critical, -(-total // agents)) <= found
    assert found * agents <= total + (agents - 1) * critical
    shape = shape_of(work)
    assert shape.tasks == len(durations)
    assert (shape.work_ms, shape.critical_ms) == (total // 1_000, critical // 1_000)
    assert shape.dependencies == len(edges)


def test_width_and_depth_are_those_of_the_graph() -> None:
    diamond = graph([1_000] * 5, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)], 2)
    shape = shape_of(diamond)
    assert (shape.tasks, shape.width, shape.depth) == (5, 3, 3)


def test_the_overhead_of_a_topology_is_borne_by_each_task() -> None:
    work = graph([1_000] * 8, [], 4)
    assert makespan_us(work, Topology.MESH, 0) == 2_000
    assert makespan_us(work, Topology.MESH, 3_000) == 8_000


def test_work_grows_with_the_share_of_attempts_that_are_made_again() -> None:
    work = graph([1_000_000] * 4, [], 1)
    assert makespan_us(work, Topology.STAR, 0, failed_bp=5_000) == 8_000_000


def test_a_sequential_swarm_waits_with_a_stage_until_the_one_before_has_ended() -> None:
    work = graph([1_000] * 4, [], 4)
    gate = Node((0, 4))
    gate.held, gate.staged = 2, [2, 3]
    work.nodes.append(gate)
    for place in (0, 1):
        work.nodes[place].staged.append(4)
    for place in (2, 3):
        work.nodes[place].held = 1
    assert makespan_us(work, Topology.STAR, 0) == 1_000
    assert makespan_us(work, Topology.SEQUENTIAL, 0) == 2_000


def teams(sizes: list[int], durations: list[int], given: list[int | None]) -> Unfinished:
    """Teams of so many equal agents, and tasks, some of which a team has already."""
    work = Unfinished()
    work.is_known = True
    work.offers = [frozenset({"work", f"team:{team}"}) for team in range(len(sizes))]
    work.groups = [list(range(len(sizes)))]
    work.choices[0] = {str(team): Choice(0, size, [team]) for team, size in enumerate(sizes)}
    for team, size in enumerate(sizes):
        work.servers += [Server(f"agent_{team}_{number}", team) for number in range(size)]
    for place, (duration, team) in enumerate(zip(durations, given, strict=True)):
        node = Node((20, place))
        node.group, node.left_us = 0, duration
        node.team = None if team is None else str(team)
        work.nodes.append(node)
    return work


def test_what_a_team_was_given_is_done_there_however_idle_the_others_are() -> None:
    work = teams([2, 5], [3_000] * 60, [0] * 60)
    assert makespan_us(work, Topology.HIERARCHICAL, 0) == 90_000
    assert makespan_us(work, Topology.STAR, 0) == 27_000


def test_what_no_team_has_goes_where_most_room_is_for_what_it_has_to_do() -> None:
    """Two teams of one and four: of six, the larger one gets the first three, as its share of the
    places that are free stays the larger one."""
    work = teams([1, 4], [1_000] * 5, [None] * 5)
    assert makespan_us(work, Topology.HIERARCHICAL, 0) == 1_000
    work = teams([1, 4], [1_000] * 10, [None] * 10)
    assert makespan_us(work, Topology.HIERARCHICAL, 0) == 2_000
    work = teams([1, 4], [1_000] * 6, [None] * 5 + [1])
    assert makespan_us(work, Topology.HIERARCHICAL, 0) == 2_000


def test_a_team_that_is_given_nothing_now_keeps_what_it_has_and_gets_no_more() -> None:
    work = teams([1, 1], [1_000] * 4, [0, None, None, None])
    work.choices[0] = {"0": Choice(None, 0, [0]), "1": Choice(0, 1, [1])}
    assert makespan_us(work, Topology.HIERARCHICAL, 0) == 3_000


given_teams = st.lists(st.integers(1, 4), min_size=1, max_size=4).flatmap(
    lambda sizes: st.tuples(
        st.just(sizes),
        st.lists(
            st.tuples(st.integers(1, 5_000), st.one_of(st.none(), st.integers(0, len(sizes) - 1))),
            min_size=1,
            max_size=25,
        ),
    )
)


@settings(max_examples=200, deadline=None)
@given(given_teams)
def test_a_hierarchy_takes_at_least_what_the_busiest_team_has_and_at_most_all_in_one_line(
    drawn: tuple[list[int], list[tuple[int, int | None]]],
) -> None:
    sizes, tasks = drawn
    work = teams(sizes, [took for took, _ in tasks], [team for _, team in tasks])
    found = makespan_us(work, Topology.HIERARCHICAL, 0)
    own = [sum(took for took, team in tasks if team == each) for each in range(len(sizes))]
    assert found >= max(-(-has // size) for has, size in zip(own, sizes, strict=True))
    assert found <= sum(took for took, _ in tasks)
    if len(sizes) == 1:
        assert found == makespan_us(work, Topology.STAR, 0)


def test_what_nobody_can_do_delays_nothing() -> None:
    work = graph([1_000], [], 1)
    work.groups.append([])
    node = Node((20, 1))
    node.group, node.left_us = 1, 9_000_000
    work.nodes.append(node)
    assert makespan_us(work, Topology.STAR, 0) == 1_000
