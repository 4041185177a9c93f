-- Records that objects of a store were written at a revision, and announces it; one atomic step.
--
-- A store's record is a sorted set: objects (or `all`) by the revision that touched them last, and
-- above them all, at infinity, the record's id, which is random and made with it. Of a record that
-- grows long the lowest revisions are dropped. So whoever asks for what is above a revision, and
-- gets fewer names than a record may have, has got all of it.
--
-- KEYS: the record.
-- ARGV: an id for a new record, the revision, how many names are kept and for how many seconds,
-- the channel, the announcement ("" for none), the names.

local record = KEYS[1]

local kind = redis.call('TYPE', record).ok
if kind ~= 'zset' and kind ~= 'none' then
  redis.call('DEL', record)
end

local top = redis.call('ZREVRANGEBYSCORE', record, '+inf', '+inf', 'LIMIT', 0, 2)
if #top ~= 1 or string.sub(top[1], 1, 3) ~= 'id:' or #top[1] ~= #ARGV[1] then
  redis.call('DEL', record)
  redis.call('ZADD', record, '+inf', ARGV[1])
end

-- Two publishers may arrive in either order: the later revision stays. Revisions are compared as
-- numbers only to be kept or replaced; up to 2^53 they compare exactly.
local revision = tonumber(ARGV[2])
for index = 7, #ARGV do
  local kept = tonumber(redis.call('ZSCORE', record, ARGV[index]) or '')
  if not kept or kept < revision then
    redis.call('ZADD', record, ARGV[2], ARGV[index])
  end
end

redis.call('ZREMRANGEBYRANK', record, 0, -(tonumber(ARGV[3]) + 2))
redis.call('EXPIRE', record, ARGV[4])
if ARGV[6] ~= '' then
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
return 0
