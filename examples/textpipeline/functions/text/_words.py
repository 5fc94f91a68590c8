"""What a word is, for both functions of the pipeline."""
import collections
import re

WORD = re.compile(r"[^\W\d_]+")


def most_frequent(text, n):
    """The n most frequent words, each with its count; those that are equally frequent by the alphabet."""
    counts = collections.Counter(word.lower() for word in WORD.findall(text))
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:n]
