"""The chat of Channels' tutorial, as an ASGI application for daphne, on the pub/sub layer of channels_redis.

    REDIS_PORT=6379 daphne -b 127.0.0.1 -p 8000 bench_site:application

/ws/chat/ is sent every message of the one room; /ws/publish/ publishes what it
is sent and hears nothing. GET /ready answers 200.
"""
import json
import os

from django.conf import settings

settings.configure(
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="bench_site",
    INSTALLED_APPS=["channels"],
    MIDDLEWARE=[],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [f"redis://127.0.0.1:{os.environ['REDIS_PORT']}"]},
        }
    },
)

import django  # noqa: E402

django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = "chat_room"


async def ready(_request):
    return JsonResponse({})


urlpatterns = [path("ready", ready)]


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.send(text_data='{"joined":true}')

    async def disconnect(self, code):
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def chat_message(self, event):
        await self.send(text_data=json.dumps({"message": event["message"]}))


class PublishConsumer(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send(GROUP, {"type": "chat.message", "message": json.loads(text_data)})


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [path("ws/chat/", ChatConsumer.as_asgi()), path("ws/publish/", PublishConsumer.as_asgi())]
        ),
    }
)
