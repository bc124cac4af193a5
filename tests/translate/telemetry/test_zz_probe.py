from policy_mesh import *
from figures import figures
from tulle.model.workload import Protocol
import asyncio, ssl
async def test_tcp(tmp_path):
    async with mesh(tmp_path) as m:
        b = meshed(Policy(), tcp=True)
        p = await m.program("one")
        await m.behind_sidecars(b, p, protocol=Protocol.TCP)
        r, w = await asyncio.open_connection("127.0.0.1", m.ports[next(k for k in m.ports if k.startswith("outbound"))])
        w.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"); await r.read(10)
        await asyncio.sleep(1)
        print("OPEN"); print(*[f for f in await figures(m) if "tcp" in f.name], sep="\n")
        w.close()
        await asyncio.sleep(1)
        print("CLOSED"); print(*[f for f in await figures(m)  if "tcp" in f.name], sep="\n")
        m.tell(b)
        await asyncio.sleep(1)
        r, w = await asyncio.open_connection("127.0.0.1", m.ports[next(k for k in m.ports if k.startswith("outbound"))])
        await r.read(10)
        await asyncio.sleep(.5)
        print("UH"); print(*[f for f in await figures(m)  if "tcp" in f.name], sep="\n")
        m.tell(b, at("", 1))
        await asyncio.sleep(1)
        r, w = await asyncio.open_connection("127.0.0.1", m.ports[next(k for k in m.ports if k.startswith("outbound"))])
        await r.read(10)
        await asyncio.sleep(.5)
        print("UF"); print(*[f for f in await figures(m)  if "tcp" in f.name], sep="\n")
