"""Counts the words of many texts, each in a job of its own. Waits for the platform only, so many run on one process."""
import asyncio

config = {"timeout": "1m", "schema": {"type": "object", "required": ["texts"]}}


async def handler(input, ctx):
    texts = input["texts"]
    jobs = await asyncio.gather(*(
        ctx.enqueue("text.count", {"title": title, "text": text, "channel": "texts"})
        for title, text in texts.items()
    ))
    ctx.log("all texts are under way", jobs=len(jobs))
    return {"jobs": jobs}
