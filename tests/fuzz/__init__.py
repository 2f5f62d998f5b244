"""Fuzzing of what reads bytes from strangers: guided by the coverage of the sources, or what is compiled by mutations.

    python -m tests.fuzz.heads -max_total_time=60        # also: chunked, responses; options are libFuzzer's
    python -m tests.fuzz.mutations heads --seconds 60    # also: chunked, responses, messages

The first needs ``atheris``, which nothing else does. Each target states its invariant in its first line and is a
plain function, ``one(data)``: ``tests/fuzz/test_corpus.py`` calls it with every input in ``corpus/`` without atheris.
A target's corpus is a text file, one Python literal a line: inputs that once failed, and inputs that together reach
every branch.
"""
