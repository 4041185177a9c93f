-- Records that objects of a store were written at a revision, and announces it; one atomic step.
--
-- A store's record is a hash: `id` is random and made with the hash, `begun` is the server's time
-- then, every other field is an object (or `all`) with the revision that touched it last. A record
-- that has grown old and long is set aside and a new one begun, so that records stay small. The
-- second record is the direct predecessor of the first or it is not there: readers rely on that.
--
-- KEYS: the record, the record set aside.
-- ARGV: an id for a new record, the revision, seconds and fields after which a record is set
-- aside, seconds that a record is kept, the channel, the announcement ("" for none), the fields.

local current, before = KEYS[1], KEYS[2]

for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end

local now = tonumber(redis.call('TIME')[1])
local id = redis.call('HGET', current, 'id')
local begun = tonumber(redis.call('HGET', current, 'begun') or '')
if not id or not begun then
  redis.call('DEL', current, before)
  id = false
elseif math.abs(now - begun) > tonumber(ARGV[3])
    and redis.call('HLEN', current) > tonumber(ARGV[4]) then
  redis.call('RENAME', current, before)
  id = false
end
if not id then
  redis.call('HSET', current, 'id', ARGV[1], 'begun', now)
end

-- Two publishers may arrive in either order: the later revision stays. Revisions are compared as
-- numbers only to be kept or replaced; up to 2^53 they compare exactly.
local revision = tonumber(ARGV[2])
for index = 8, #ARGV do
  local kept = tonumber(redis.call('HGET', current, ARGV[index]) or '')
  if not kept or kept < revision then
    redis.call('HSET', current, ARGV[index], ARGV[2])
  end
end

redis.call('EXPIRE', current, ARGV[5])
if ARGV[7] ~= '' then
  redis.call('PUBLISH', ARGV[6], ARGV[7])
end
return id and 0 or 1
