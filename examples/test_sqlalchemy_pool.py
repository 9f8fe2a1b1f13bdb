"""SQLAlchemy: an interrupt while a connection is handed out occupies a place in the pool forever.

Expected: ``QueuePool`` counts the connection as handed out before any code could return it, from the end of ``_do_get`` until the
record has stored it (the kind ``connection`` is our own, see ``conftest.py``). An interrupt while ``Connection.close`` ends a transaction
is replaced by an ``AssertionError``. Interrupts between the two are undone by a weak reference, and are listed. With ``shield`` around
``engine.connect``, the connection is either made or not, and nothing is lost.
"""

import pytest
import sqlalchemy
from sqlalchemy.pool import QueuePool

from pytest_maskcheck.masking import shield


@pytest.fixture
def engine(watch):
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0)
    with engine.connect() as connection:  # fills the pool, so that the test does not open a connection
        connection.execute(sqlalchemy.text("select 1"))
    watch(engine.pool, QueuePool.checkedout)
    yield engine
    engine.dispose()


@pytest.mark.interrupt_safe(include=["sqlalchemy.pool", "sqlalchemy.util.queue", "sqlalchemy.engine.base"], hits=1)
def test_query(engine):
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1


@pytest.mark.interrupt_safe(include=["sqlalchemy.pool", "sqlalchemy.util.queue"], hits=1)
def test_shielded_query(engine):
    with shield(engine.connect) as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
