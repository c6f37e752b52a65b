"""The scripts that the store runs, each as one step that no other server comes between.

All keys begin with one hash tag, so that they are in one slot of a cluster. Data that nobody uses ends after a day.
"""

from __future__ import annotations

NO_SEAT, NO_LEASE = -1, -2
"""What `TAKE` returns in place of a number."""

TAKE = """
local servers, number, seats, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local server, seat, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('EXISTS', alive .. server) == 0 then
    return -2
end
if redis.call('SISMEMBER', seats .. server, seat) == 0 then
    local open = 0
    for _, each in ipairs(redis.call('SMEMBERS', servers)) do
        if each ~= server and redis.call('EXISTS', alive .. each) == 0 then
            redis.call('DEL', seats .. each)
            redis.call('SREM', servers, each)
        else
            open = open + redis.call('SCARD', seats .. each)
        end
    end
    if most >= 0 and open >= most then
        return -1
    end
    redis.call('SADD', seats .. server, seat)
    redis.call('EXPIRE', seats .. server, 86400)
    redis.call('SADD', servers, server)
    redis.call('EXPIRE', servers, 86400)
end
return redis.call('INCR', number) - 1
"""
"""Take a seat: the number of the session, NO_SEAT if the team has `most`, or NO_LEASE if
the store does not know the server (any more). A server without a lease has no seats."""

LEAVE = """
redis.call('SREM', KEYS[2] .. ARGV[1], ARGV[2])
if redis.call('SCARD', KEYS[2] .. ARGV[1]) == 0 then
    redis.call('SREM', KEYS[1], ARGV[1])
end
return 0
"""
"""Give a seat back."""

STATE_SEATS = """
local seats, held = KEYS[2] .. ARGV[1], {}
for place = 3, #ARGV do
    if place < 3 + tonumber(ARGV[2]) or redis.call('SISMEMBER', seats, ARGV[place]) == 1 then
        held[#held + 1] = ARGV[place]
    end
end
redis.call('DEL', seats)
redis.call('SREM', KEYS[1], ARGV[1])
for _, seat in ipairs(held) do
    redis.call('SADD', seats, seat)
end
if #held > 0 then
    redis.call('EXPIRE', seats, 86400)
    redis.call('SADD', KEYS[1], ARGV[1])
    redis.call('EXPIRE', KEYS[1], 86400)
end
return 0
"""
"""All seats of one team at one server, in place of those that the store has. The first ones are certain, as many as the
second argument says. The server only asks for the others, which count if the store has them."""

OPEN = """
local open = 0
for _, each in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', KEYS[3] .. each) == 1 then
        open = open + redis.call('SCARD', KEYS[2] .. each)
    end
end
return open
"""
"""How many seats a team has."""

RAISE = """
for place = 1, #KEYS do
    local least = tonumber(ARGV[place])
    if tonumber(redis.call('GET', KEYS[place]) or '0') < least then
        redis.call('SET', KEYS[place], string.format('%.0f', (math.floor(least / 1000000) + 1) * 1000000))
    end
end
return 0
"""
"""Go on at the next million after the store lost a number: some other server may have given more than this one."""

COUNT_REQUEST = """
local now, most = tonumber(ARGV[1]), tonumber(ARGV[3])
if now == nil then
    local time = redis.call('TIME')
    now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60)
if redis.call('ZCARD', KEYS[1]) >= most then
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return {1, tostring(tonumber(oldest[2] or now) + 60 - now)}
end
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('EXPIRE', KEYS[1], 86400)
return {0, ''}
"""
"""Count a request in the last minute, by the clock of the store if no time is given; whether it is one too many, and
then the seconds until there is room."""

KEEP_CONVERSATION = """
local kept, order, size, opened = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, data, expires, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local later = tonumber(redis.call('HGET', opened, name) or '0') > tonumber(ARGV[7])
if later and tonumber(redis.call('ZSCORE', order, name)) > now then
    return 0
end
redis.call('HSET', opened, name, ARGV[7])
local total = redis.call('INCRBY', size, #data - redis.call('HSTRLEN', kept, name))
redis.call('HSET', kept, name, data)
redis.call('ZADD', order, expires, name)
local count = redis.call('ZCARD', order)
while count > 1 do
    local oldest = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')
    if total <= tonumber(ARGV[5]) and count <= tonumber(ARGV[6]) and tonumber(oldest[2]) > now then
        break
    end
    total = redis.call('INCRBY', size, -redis.call('HSTRLEN', kept, oldest[1]))
    redis.call('HDEL', kept, oldest[1])
    redis.call('HDEL', opened, oldest[1])
    redis.call('ZREM', order, oldest[1])
    count = count - 1
end
for _, key in ipairs(KEYS) do
    redis.call('EXPIRE', key, 86400)
end
return 0
"""
"""Keep a conversation until a Unix second, unless a connection that opened later went on with it. Those that end first
are dropped first: what has expired, and what is above so many bytes or so many conversations in all."""

PUT_IF = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return redis.call('INCR', KEYS[2])
"""
"""Put a part if the store still has what it had; the new version, or 0."""

KEEP_SECRET = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], tonumber(ARGV[3]), ARGV[1])
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[4]) do
    redis.call('HDEL', KEYS[1], redis.call('ZPOPMIN', KEYS[2])[1])
end
redis.call('EXPIRE', KEYS[1], 86400)
redis.call('EXPIRE', KEYS[2], 86400)
return 0
"""
"""Keep a client secret by its digest; the oldest are dropped first."""
