"""asyncio, anyio and trio."""

import asyncio
import contextlib


def test_run():
    async def main():
        await asyncio.sleep(0)
        return 1

    assert asyncio.run(main()) == 1  # (implicit@into) (swallowed@back)?


def test_to_thread():
    async def main():
        return await asyncio.to_thread(sum, [1, 2])

    assert asyncio.run(main()) == 3  # (implicit@into) (swallowed@back)?


def test_gather():
    async def work(number):
        await asyncio.sleep(0.0001)
        return number

    async def main():
        return await asyncio.gather(*(work(number) for number in range(3)))

    assert asyncio.run(main()) == [0, 1, 2]  # (implicit@into)? (swallowed@back)?


def test_task_group():
    async def main():
        async with asyncio.TaskGroup() as group:
            first = group.create_task(asyncio.sleep(0, 1))
            second = group.create_task(asyncio.sleep(0.0001, 2))
        return first.result() + second.result()

    assert asyncio.run(main()) == 3  # (implicit@into) (swallowed@back)?


def test_cancelled():
    async def main():
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())  # (implicit@into) (swallowed@back)?


def test_timeout():
    async def main():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)

    asyncio.run(main())  # (implicit@into) (swallowed@back)?


def test_async_generator():
    async def numbers():
        for number in range(3):
            yield number
            await asyncio.sleep(0)

    async def main():
        async with contextlib.aclosing(numbers()) as some:
            return [number async for number in some]

    assert asyncio.run(main()) == [0, 1, 2]  # (implicit@into) (swallowed@back)?


def test_async_generator_left_early():
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    async def main():
        async with contextlib.aclosing(numbers()) as some:
            async for number in some:
                return number

    assert asyncio.run(main()) == 1  # (implicit@into) (swallowed@back)?


def test_async_context_manager():
    @contextlib.asynccontextmanager
    async def held(lock):
        async with lock:
            yield

    async def main():
        lock = asyncio.Lock()
        async with held(lock):
            assert lock.locked()
        assert not lock.locked()

    asyncio.run(main())  # (implicit@into) (swallowed@back)?


def test_async_queue():
    async def main():
        queue = asyncio.Queue(1)

        async def put():
            for number in range(3):
                await queue.put(number)

        async with asyncio.TaskGroup() as group:
            group.create_task(put())
            return [await queue.get() for _ in range(3)]

    assert asyncio.run(main()) == [0, 1, 2]  # (implicit@into) (swallowed@back)?


def test_synchronised():
    async def main():
        event, semaphore, condition = asyncio.Event(), asyncio.Semaphore(1), asyncio.Condition()
        async with asyncio.TaskGroup() as group:
            group.create_task(event.wait())
            async with semaphore, condition:
                event.set()
                condition.notify_all()

    asyncio.run(main())  # (implicit@into) (swallowed@back)?


def test_async_subprocess():
    async def main():
        process = await asyncio.create_subprocess_exec("echo", "a", stdout=asyncio.subprocess.PIPE)  # (implicit@back)? leak@back?
        out, _ = await process.communicate()  # (implicit@back)? (implicit@into)? leak@back? leak@into?
        return out

    assert asyncio.run(main()) == b"a\n"  # (implicit@into) (swallowed@back)?


def test_streams():
    async def answer(reader, writer):  # (implicit@entry)?
        writer.write(await reader.readline())  # (implicit@back) (implicit@into)
        await writer.drain()  # (implicit@back) (implicit@into)
        writer.close()  # (implicit@back) (implicit@into)
        await writer.wait_closed()  # (implicit@back) (implicit@into)

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"a\n")  # (implicit@back) (implicit@into)
            line = await reader.readline()  # (implicit@back) (implicit@into)
            writer.close()
            await writer.wait_closed()
        return line

    assert asyncio.run(main()) == b"a\n"  # (implicit@back) (implicit@into) (swallowed@back)?


def test_runner():
    with asyncio.Runner() as runner:  # (leak@back) (leak@into) (swallowed@back)
        assert runner.run(asyncio.sleep(0, 1)) == 1  # (implicit@into) (swallowed@back)? (swallowed@into)?
        assert runner.run(asyncio.sleep(0, 2)) == 2  # (implicit@into) (swallowed@back)? (swallowed@into)?


def test_executor_of_the_loop():
    async def main():
        return await asyncio.get_running_loop().run_in_executor(None, len, "abc")

    assert asyncio.run(main()) == 3  # (implicit@into) (swallowed@back)?


def test_anyio():
    import anyio

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep(60)
        return scope.cancelled_caught

    assert anyio.run(main)


def test_anyio_thread():
    import anyio.to_thread

    async def main():
        return await anyio.to_thread.run_sync(len, "abc")

    assert anyio.run(main) == 3


def test_anyio_streams():
    import anyio

    async def main():
        sender, receiver = anyio.create_memory_object_stream(1)
        async with sender, receiver:
            await sender.send(1)
            return await receiver.receive()

    assert anyio.run(main) == 1


def test_trio():
    import trio

    async def main():
        async with trio.open_nursery() as nursery:  # replaced@call? (implicit@call)?
            nursery.start_soon(trio.sleep, 0)
        with trio.move_on_after(0.001) as scope:
            await trio.sleep_forever()
        return scope.cancelled_caught

    assert trio.run(main)


def test_trio_channel():
    import trio

    async def main():
        sender, receiver = trio.open_memory_channel(0)
        async with trio.open_nursery() as nursery:  # replaced@call? (implicit@call)?
            nursery.start_soon(sender.send, 1)
            return await receiver.receive()

    assert trio.run(main) == 1
