"""Counts the words of one text and publishes the most frequent ones. Computes, so each call has a process for itself."""
from _words import most_frequent

config = {"timeout": "30s", "retries": 2, "memory": "128MiB"}


def handler(input, ctx):
    ctx.progress(0, "counting " + input["title"])
    words = [{"word": word, "count": count} for word, count in most_frequent(input["text"], 3)]
    ctx.publish(input["channel"], {"title": input["title"], "words": words})
    return words
