"""The state that the servers of a fleet share, behind one port: `State`, with two backends.

- memory.py: one process, and the default. It asks `Accounts`, waits for nothing and needs nothing else.
- store.py: several servers over one Redis or Valkey (extra `fleet`). Its scripts in Lua are in scripts.py.

What a fleet shares:

- Client secrets: one made by any server is accepted by each, for its lifetime and its team.
- The rate of requests and the open sessions of a team. One script counts each, so that two servers do not both admit
  the last session.
- Numbers of sessions and secrets, from which ids follow: equal seeds and equal order, equal ids.

A seat is an open session in the store. It belongs to its server, which renews a lease each second. When a server is
killed, its lease ends after three seconds, and its seats are free. A server states its seats again when it finds its
lease gone, so that counts come back when the store lost its data.

The event loop never blocks: the client is asynchronous and waits one second at most. While the store is gone, new
sessions and secrets are refused with 503, as an outage of the service; open sessions go on.
"""
