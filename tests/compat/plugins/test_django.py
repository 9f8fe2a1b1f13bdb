"""Audits beside pytest-django: a database in memory and in a file, transactions, clients, a live server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.compat.plugins.conftest import Beside

SETTINGS = """
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "NAME.sqlite3", "TEST": {"NAME": TEST}}}
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles"]
    SECRET_KEY = "secret"
    ALLOWED_HOSTS = ["*"]
    ROOT_URLCONF = "urls"
    STATIC_URL = "static/"
    USE_TZ = True
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""

URLS = """
    import shop
    from django.http import HttpResponse
    from django.urls import path

    urlpatterns = [
        path("leaky", lambda request: HttpResponse(str(shop.leaky(3)))),
        path("clean", lambda request: HttpResponse(str(shop.clean(3)))),
    ]
"""

TESTS = """
    import pytest
    from django.contrib.auth.models import Group
    from django.test import TestCase
    from shop import clean, leaky

    pytestmark = pytest.mark.interrupt_safe


    @pytest.mark.django_db
    def test_defect():
        Group.objects.create(name="staff")
        assert leaky() == Group.objects.count()


    def test_clean(db, settings, django_user_model):
        settings.LANGUAGE_CODE = "de"
        django_user_model.objects.create_user("someone")
        assert clean(3) == 3
        assert django_user_model.objects.count() == 1


    @pytest.mark.django_db(transaction=True)
    def test_clean_transaction():
        Group.objects.create(name="staff")
        assert clean(3) == 3
        assert Group.objects.count() == 1


    class TestGroups(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.group = Group.objects.create(name="staff")

        def test_clean_case(self):
            assert clean(Group.objects.count()) == 1
"""

CLIENTS = """
    import urllib.request

    import pytest
    from django.contrib.auth.models import Group

    pytestmark = pytest.mark.interrupt_safe


    def test_defect(client):
        assert client.get("/leaky").content == b"3"


    def test_clean(client):
        assert client.get("/clean").content == b"3"


    def test_clean_factory(rf, admin_user):
        import urls
        assert urls.urlpatterns[1].callback(rf.get("/clean")).content == b"3"
"""

SERVER = """
    import urllib.request

    import pytest

    pytestmark = pytest.mark.interrupt_safe(max_points=10)


    def test_clean_server(live_server):
        with urllib.request.urlopen(live_server.url + "/clean") as response:
            assert response.read() == b"3"
"""

OPTIONS = ("--ds=project",)


def project(test: str) -> dict[str, str]:
    """Return the files of a project whose tests use this database."""
    return {"project.py": SETTINGS.replace("TEST}", f"{test}}}"), "urls.py": URLS}


@pytest.mark.parametrize("test", ["None", "'test.sqlite3'"], ids=["memory", "file"])
def test_database(beside: Beside, test: str) -> None:
    """Tests with and without a transaction that is rolled back, and Django's own test cases, are audited."""
    session = beside("pytest-django django", TESTS, *OPTIONS, files=project(test))
    session.is_right("test_defect", "test_clean", "test_clean_transaction", "test_clean_case")


def test_clients(beside: Beside) -> None:
    """Tests that call views without a server are audited."""
    session = beside("pytest-django django", CLIENTS, *OPTIONS, files=project("None"))
    session.is_right("test_defect", "test_clean", "test_clean_factory")


def test_live_server(beside: Beside) -> None:
    """Tests that use a live server, on a thread of the session, are audited."""
    session = beside("pytest-django django", SERVER, *OPTIONS, files=project("'test.sqlite3'"))
    session.is_right("test_clean_server")
