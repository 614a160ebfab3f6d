"""The list schedule that predictions rest on: its bounds, and what a topology changes in it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.domain.swarms import Topology
from visionflow.engine.topology.makespan import makespan_us
from visionflow.engine.topology.unfinished import Node, Server, Unfinished, shape_of


def graph(durations: list[int], edges: list[tuple[int, int]], agents: int) -> Unfinished:
    """Tasks of one kind, with these edges, and agents that can all do them."""
    work = Unfinished()
    work.is_known = True
    work.offers = [(frozenset({"type:coder"}), None)]
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


def test_a_hierarchy_of_teams_leaves_the_idle_of_one_team_idle() -> None:
    """A long task in each of two teams of one and three: by load for their size the next ones go
    where there is most room, and yet nobody helps out in the other team."""
    work = Unfinished()
    work.is_known = True
    work.teams = {"one": 1, "two": 1}
    work.offers = [(frozenset({"a", "b"}), "one"), (frozenset({"a"}), "two")]
    work.servers = [Server("agent_1", 0), Server("agent_2", 1)]
    work.groups = [[0, 1], [0]]
    for place, (group, left) in enumerate([(1, 4_000), (0, 1_000), (0, 1_000)]):
        node = Node((20, place))
        node.group, node.left_us = group, left
        work.nodes.append(node)
    assert makespan_us(work, Topology.HIERARCHICAL, 0) == 4_000
    assert makespan_us(work, Topology.STAR, 0) == 4_000


def test_what_nobody_can_do_delays_nothing() -> None:
    work = graph([1_000], [], 1)
    work.groups.append([])
    node = Node((20, 1))
    node.group, node.left_us = 1, 9_000_000
    work.nodes.append(node)
    assert makespan_us(work, Topology.STAR, 0) == 1_000
