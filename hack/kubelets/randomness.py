"""Random nodes and Pods, such as make an allocator go wrong: odd machines, CPUs offline, in use and reserved."""

from __future__ import annotations

from random import Random

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.kubelet.options import Feature, TopologyPolicy, TopologyScope, parse_options
from tests.kubelet.cases import Case, Container, Resources, Shape

_MOST_CPUS = 192
_MOST_NODES = 16
_NUMBERINGS = ("linear", "split", "round-robin")
# Half of the machines have no more nodes than this: on others an answer takes long, and most nodes there are have few.
_FEW_NODES = 4
# What goes with distribute-cpus-across-numa, which has the most to go wrong, and on many nodes.
_FOCUS = (
    (),
    (str(Feature.FULL_PCPUS_ONLY),),
    (str(Feature.ALIGN_BY_SOCKET),),
    (str(Feature.FULL_PCPUS_ONLY), str(Feature.ALIGN_BY_SOCKET)),
)


def random_case(random: Random) -> Case:
    """Return a node and a Pod."""
    shape = _shape(random)
    cpus = CPUSet.of(cpu.cpu for cpu in shape.host().cpus)
    containers = _containers(random, len(cpus))
    is_whole = random.random() < 0.1 and not any(_asks_for_nothing(container) for container in containers)
    return Case(
        shape=shape,
        kubelet=",".join(_kubelet(random, cpus, shape)),
        containers=containers,
        resources=_level(random, containers) if is_whole else None,
        memory_bytes=random.choice((4, 8, 64)) << 30,
    )


def _shape(random: Random) -> Shape:
    while True:
        shape = _any_shape(random)
        most = random.choice((_FEW_NODES, _MOST_NODES))
        size = len(shape.host().cpus)
        if shape.nodes <= most and 2 <= size <= _MOST_CPUS:
            break
    if random.random() < 0.25:
        shape = _with(shape, offline=str(_some(random, size, random.randint(1, 3) if size > 4 else 1)))
    if random.random() < 0.5:
        shape = _with(shape, distances=_distances(random, shape.nodes + shape.empty_nodes))
    return shape


def _any_shape(random: Random) -> Shape:
    joins_sockets = random.random() < 0.15
    caches = random.randint(1, 4)
    return Shape(
        sockets=random.choice((2, 4, 6, 8)) if joins_sockets else random.randint(1, 4),
        nodes_per_socket=1 if joins_sockets else random.choice((1, 1, 2, 3, 4, 8)),
        sockets_per_node=2 if joins_sockets else 1,
        caches_per_node=caches,
        cores_per_cache=random.choice((2, 4)) if joins_sockets else random.randint(1, 4),
        threads=random.choice((1, 2, 2, 2, 4)),
        numbering=random.choice(_NUMBERINGS),
        empty_nodes=1 if random.random() < 0.05 else 0,
        cache_level=random.choice((2, 3, 3, 3)),
    )


def _with(shape: Shape, **changes: object) -> Shape:
    fields = {name: getattr(shape, name) for name in shape.__struct_fields__}
    return Shape(**{**fields, **changes})


def _distances(random: Random, nodes: int) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(10 if node == other else random.choice((11, 12, 20, 32)) for other in range(nodes))
        for node in range(nodes)
    )


def _some(random: Random, size: int, count: int) -> CPUSet:
    return CPUSet.of(random.sample(range(size), min(count, size)))


def _kubelet(random: Random, cpus: CPUSet, shape: Shape) -> list[str]:
    features = [str(feature) for feature in Feature if random.random() < 0.3]
    if shape.nodes > _FEW_NODES and random.random() < 0.6:
        features = [str(Feature.DISTRIBUTE_ACROSS_NUMA), *_FOCUS[random.randrange(len(_FOCUS))]]
    # Which of them go together is soon seen; most cases are of kubelets that start.
    words = features if _go_together(features) or random.random() < 0.1 else features[:1]
    members = list(cpus)
    reserved = CPUSet()
    if random.random() < 0.2:
        words.append(f"reserved-count={random.randint(1, max(1, len(members) // 4))}")
    elif random.random() < 0.9:
        reserved = CPUSet.of(random.sample(members, random.randint(1, max(1, len(members) // 5))))
        words.append(f"reserved={reserved}")
    words += _in_use(random, [cpu for cpu in members if cpu not in reserved], words)
    words += _topology_manager(random, shape)
    if random.random() < 0.1:
        words.append("pod-level-resource-managers")
    return words


def _go_together(features: list[str]) -> bool:
    try:
        parse_options(",".join(features))
    except UsageError:
        return False
    return True


def _in_use(random: Random, free: list[int], words: list[str]) -> list[str]:
    if random.random() < 0.3 or len(free) < 3 or any(word.startswith("reserved-count") for word in words):
        return []
    count = random.randint(1, len(free) - 1)
    start = random.randrange(len(free))
    run = (free + free)[start : start + count]
    return [f"in-use={CPUSet.of(run if random.random() < 0.5 else random.sample(free, count))}"]


def _topology_manager(random: Random, shape: Shape) -> list[str]:
    if random.random() < 0.4:
        nodes = sorted({cpu.node for cpu in shape.host().cpus})
        hint = random.sample(nodes, random.randint(1, len(nodes)))
        return [f"numa-hint={CPUSet.of(hint)}"] if random.random() < 0.2 else []
    words = [f"topology-manager={random.choice(list(TopologyPolicy))}"]
    words.append(f"topology-manager-scope={random.choice(list(TopologyScope))}")
    if random.random() < 0.3:
        words.append("prefer-closest-numa-nodes")
    if random.random() < 0.5:
        words.append(f"max-allowable-numa-nodes={random.choice((8, 16, 17))}")
    # A kubelet merges every hint of one with every hint of the other: on many nodes it takes minutes.
    if random.random() < 0.4 and "topology-manager=none" not in words and shape.nodes <= _FEW_NODES:
        words.append(f"device-nodes={_device_nodes(random, shape)}")
    return words


def _device_nodes(random: Random, shape: Shape) -> str:
    """Return the nodes of the devices of one resource, sometimes of two or three."""
    nodes = sorted({cpu.node for cpu in shape.host().cpus})
    resources = random.choice((1, 1, 1, 2, 2, 3))
    few = random.choice((1, 1, 2, 4))
    return "/".join(str(CPUSet.of(random.sample(nodes, min(few, len(nodes))))) for _ in range(resources))


def _containers(random: Random, cpus: int) -> tuple[Container, ...]:
    count = random.choice((1, 1, 1, 2, 3, 4))
    kinds = ["app", *(random.choice(("app", "init", "sidecar")) for _ in range(count - 1))]
    random.shuffle(kinds)
    return tuple(
        Container(name=f"c{index}", kind=kind, resources=_resources(random, max(1, cpus // count)))
        for index, kind in enumerate(kinds)
    )


def _resources(random: Random, most: int) -> Resources:
    cpu = _cpu(random, most)
    limits = {"cpu": cpu, "memory": random.choice(("64Mi", "1Gi", "100M"))}
    odd = random.random()
    if odd < 0.93:
        return {"limits": limits}
    if odd < 0.97:
        return {"limits": limits, "requests": {"cpu": _cpu(random, most), "memory": limits["memory"]}}
    return random.choice(({}, {"requests": {"cpu": cpu}}, {"limits": {"memory": "64Mi"}}, {"requests": {"cpu": "0"}}))


def _asks_for_nothing(container: Container) -> bool:
    """Tell whether a container asks for 0 CPUs by that number, which in a pod that asks as a whole is not "nothing"."""
    return any(amounts.get("cpu") == "0" for amounts in container.resources.values())


def _cpu(random: Random, most: int) -> str:
    if random.random() < 0.08:
        return random.choice(("200m", "1500m", "2000m", "0.5", "1.0", "0"))
    return str(random.randint(1, random.choice((max(1, most // 2), most + 1))))


def _level(random: Random, containers: tuple[Container, ...]) -> Resources:
    most = 2 * len(containers) + random.randint(0, 8)
    amounts = {"cpu": random.choice((str(most), str(most), "1500m")), "memory": "4Gi"}
    requests = amounts if random.random() < 0.8 else {"cpu": "1", "memory": "1Gi"}
    return {"limits": amounts, "requests": requests}
