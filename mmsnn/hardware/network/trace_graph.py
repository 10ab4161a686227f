"""Which population of a chip holds the result of each op of a trace.

A trace lists ops and what each has read. On a chip a population holds the
result of an op: the neurons that fire from it, or accumulators of its own
where the result is handed on as numbers.
"""

from dataclasses import replace

from mmsnn.trace import SYNAPSES, OpRecord, OpTrace, Reads, Source

from .repeated_runs import Runs, find_runs

#: Ops that add membranes. The population that holds the sum does it.
_SUMS = ('add', 'add_', 'sub', 'sub_', 'rsub')


#: Why an op of a trace is in no projection of its network.
RESULTS = 'works on results (boxes, scores)'
CONSTANT = 'is computed from weights alone, before the run'
NUMBER = 'gives one number'
JOINS = 'joins the results of runs'
SAME = 'adds to a membrane to which its synapses add anyway'


def role(record: OpRecord) -> str:
    """What an op is on a chip.

    Args:
        record (OpRecord): The record of the op.

    Returns:
        str: ``neuron``, ``synapse``, ``relay`` (a pooling of spikes that gives
        spikes), ``sum`` (of membranes) or ``real`` (any other op, on real
        values).
    """
    if record.kind == 'neuron':
        return 'neuron'
    if record.kind in SYNAPSES:
        return 'synapse'
    if record.spiking:
        return 'relay'
    return 'sum' if record.op in _SUMS else 'real'


class TraceGraph:
    """Ops that run on a chip, what they read, and where results are held.

    These ops are left out: those on a model's results (boxes, scores), those
    that read nothing else (levels of regions of interest), those on real
    values that depend on nothing that the model is given, and those whose
    result is one number. An op that reads the result of such an op is taken
    to read what that op has read.

    If the network runs several times on an image (:func:`find_runs`), the
    graph is that of one run and its records hold the sums of all.

    An op is named by its number in the trace.

    Args:
        trace (OpTrace): The trace.

    Attributes:
        records (list[OpRecord]): All records.
        runs (int): Runs of the network for an image.
        outside (list[OpRecord]): Ops that join the results of runs.
        left_out (dict[int, str]): Op that does not run on a chip -> why.
        sources (dict[int, dict[Source, bool]]): For each op that runs on a
            chip: what it has read, and whether that is the other operand of
            a product.
        home (dict[int, int]): For each op, the op whose population holds its
            result: a neuron, or itself.
        through (dict[int, set[Source]]): For each op, what it reads only by
            way of ops that are left out.
        reads (dict[int, dict[int, Reads]]): For each op that runs on a chip:
            layer -> what it reads of it, where that is not simply all.
        feedback (list[str]): Modules whose ops read a later op; these edges
            are left out.

    Example:
        >>> from mmsnn.trace import OpRecord, OpTrace
        >>> trace = OpTrace([OpRecord('stem', 'conv', 'convolution', macs=9),
        ...                  OpRecord('a', 'neuron', 'neuron', neurons=4)], 1)
        >>> keys = list(trace._records)
        >>> trace.connect(keys[0], ['input'])
        >>> trace.connect(keys[1], keys[:1])
        >>> TraceGraph(trace).home  # the neuron holds the stem's result
        {1: 1, 0: 1}
    """

    def __init__(self, trace: OpTrace) -> None:
        self.records = list(trace)
        self._all = trace.sources()
        self.left_out: dict[int, str] = {}
        for i, record in enumerate(self.records):
            reason = self._why_left_out(i, record)
            if reason:
                self.left_out[i] = reason
        self.feedback: list[str] = []
        self.through: dict[int, set[Source]] = {}
        self.sources: dict[int, dict[Source, bool]] = {}
        for i, record in enumerate(self.records):
            if i not in self.left_out:
                self.sources[i] = self._read(i, record)
        self.reads = {i: reads for i, reads in enumerate(trace.reads())
                      if i in self.sources}
        self.runs, self.outside = self._fold()
        self._leave_out_constants()
        self.home = self._homes()

    def _fold(self) -> tuple[int, list[OpRecord]]:
        """Keep the first of several runs, with the amounts of all."""
        runs = Runs()
        if not self.through and not self.feedback:
            runs = find_runs(self.records, self.sources)
        if runs.number == 1:
            return 1, []
        for first, same in runs.records.items():
            record = replace(self.records[first])
            images = zip(*(self.records[i].by_image for i in same))
            for i in same[1:]:
                record.include(self.records[i])
            record.by_image = [[sum(n) for n in zip(*image)]
                               for image in images]
            self.records[first] = record
            self.reads[first] = self._read_by_all(same, runs)
        self.sources = {i: self.sources[i] for i in runs.records}
        self.left_out.update(dict.fromkeys(runs.outside, JOINS))
        return runs.number, [self.records[i] for i in runs.outside]

    def _read_by_all(self, same: list[int], runs: Runs) -> dict[int, Reads]:
        """What an op reads of each layer, over all runs."""
        first, *others = same
        reads = dict(self.reads[first])
        for source, found in reads.items():
            for k, i in enumerate(others, 1):
                more = self.reads[i].get(runs.records[source][k])
                if more is not None:
                    found = found.including(more)
            reads[source] = found
        return reads

    def _why_left_out(self, i: int, record: OpRecord) -> str:
        """Why an op does not run on a chip; empty if it does."""
        if record.postprocess:
            return RESULTS
        if record.kind not in ('real', 'add'):
            return ''
        if not record.output_shape:
            return NUMBER
        made_of = [self.left_out.get(s) for s in self._all[i]]
        return RESULTS if made_of and all(
            reason in (RESULTS, NUMBER) for reason in made_of) else ''

    def _leave_out_constants(self) -> None:
        """Leave out what depends on nothing that the model is given."""
        constant: set[Source] = set()
        for i, record in enumerate(self.records):
            if not record.spiking and record.kind != 'neuron' and (
                    constant.issuperset(self._all[i])):
                constant.add(i)
        self.left_out.update(
            (i, CONSTANT) for i in constant
            if i in self.sources or self.left_out.get(i) == NUMBER
            or self.left_out.get(i) == RESULTS
            and not self.records[i].postprocess)
        self.sources = {
            i: {s: operand for s, operand in sources.items()
                if s not in constant}
            for i, sources in self.sources.items() if i not in constant
        }

    def _read(self, i: int, record: OpRecord) -> dict[Source, bool]:
        """What an op reads, also by way of ops that are left out."""
        found: dict[Source, bool] = {}
        todo, seen = list(self._all[i].items()), set()
        while todo:
            source, operand = todo.pop(0)
            if source in seen:
                continue
            seen.add(source)
            direct = source in self._all[i]
            if source in self.left_out:
                todo += [(s, False) for s in self._all[source]]
            elif isinstance(source, int) and source >= i:
                self.feedback.append(record.module)
            else:
                found[source] = operand
                if not direct:
                    self.through.setdefault(i, set()).add(source)
        return found

    def _homes(self) -> dict[int, int]:
        """Where the result of each op is held, the last op first."""
        consumers: dict[int, list[int]] = {i: [] for i in self.sources}
        for i, sources in self.sources.items():
            for source in sources:
                if isinstance(source, int):
                    consumers[source].append(i)
        home: dict[int, int] = {}
        for i in reversed(self.sources):
            home[i] = i
            if role(self.records[i]) in ('neuron', 'relay'):
                continue
            neurons = [c for c in consumers[i]
                       if role(self.records[c]) == 'neuron']
            others = [c for c in consumers[i] if c not in neurons]
            if neurons and all(home[c] > neurons[0] for c in others):
                home[i] = neurons[0]  # it is their membrane, complete
            elif not neurons and len(others) == 1 and role(
                    self.records[others[0]]) == 'sum':
                home[i] = home[others[0]]
        return home


def run_notes(graph: TraceGraph, images: int) -> tuple[str, ...]:
    """Sentences about modules that run several times on an image.

    Args:
        graph (TraceGraph): The graph of a trace.
        images (int): Images of the trace.

    Returns:
        tuple[str]: Empty if no module does.
    """
    records = graph.records
    if graph.runs > 1:
        text = (f'The network runs {graph.runs} times for an image and is '
                'mapped once.')
        if graph.outside:
            ops = sum(r.adds + r.comparisons + r.other for r in graph.outside)
            macs = sum(r.macs for r in graph.outside)
            text += (f' {len(graph.outside)} ops that join the results '
                     f'({ops / images:,.0f} operations and '
                     f'{macs / images:,.0f} multiply-accumulates per image) '
                     'run outside the cores.')
        return (text, )
    again = {
        records[i].module: None
        for i in graph.sources if records[i].call > 1 and
        (records[i].kind == 'neuron' or records[i].kind in SYNAPSES)
    }
    if not again:
        return ()
    return (f'{len(again)} modules run several times for an image '
            f'({next(iter(again))}, ...), but no whole network that reads '
            'only the image repeats: each of their calls is mapped for '
            'itself.', )
