"""The least Django and DRF can do: a pair of endpoints without any feature, as a yardstick.

No keys, no workspaces, no audit, no digest, no guard: one row in, one row changed, and the news.
"""

import os
import uuid
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction

if not settings.configured:
    settings.configure(
        SECRET_KEY="a yardstick has no secrets, " * 2,
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": "127.0.0.1",
                "NAME": os.environ["PAIR_DATABASE"],
                "USER": os.environ.get("PAIR_USER", "postgres"),
                "PASSWORD": os.environ.get("PAIR_PASSWORD", ""),
                "PORT": os.environ.get("PAIR_PORT", "5432"),
                "CONN_MAX_AGE": None,
            }
        },
        INSTALLED_APPS=["rest_framework"],
        MIDDLEWARE=[],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_PERMISSION_CLASSES": [],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
            "UNAUTHENTICATED_USER": None,
        },
    )
    django.setup()

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Item(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=10, default="pending")
    comment = models.TextField(default="")

    class Meta:
        app_label = "pair"
        db_table = "item"
        managed = False

    def __str__(self) -> str:
        return self.title


class ItemSerializer(serializers.ModelSerializer[Item]):
    class Meta:
        model = Item
        fields = ("id", "title", "status", "comment")
        read_only_fields = ("id", "status")


class Create(APIView):
    def post(self, request: Request) -> Response:
        serializer = ItemSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data, status=201)


class Decide(APIView):
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        comment = str(request.data.get("comment", ""))
        with transaction.atomic():
            rows = Item.objects.filter(pk=pk, status="pending")
            if not rows.update(status="completed", comment=comment):
                return Response({"detail": "Decided already."}, status=409)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('pair', %s)", [str(pk)])
        return Response(ItemSerializer(Item.objects.get(pk=pk)).data)


urlpatterns: list[Any] = [
    path("items", Create.as_view()),
    path("items/<uuid:pk>/decide", Decide.as_view()),
]
application = get_wsgi_application()
