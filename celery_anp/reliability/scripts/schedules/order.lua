-- Order a backfill, or end it.
--
-- Keys:
--   backfills       hash    the one under way
-- Arguments: schedule, JSON of the backfill ('' to end it), by, note
-- Answer: 1, or 0 when one is under way already, or there is none to end

local schedule, wanted, by, words = unpack(ARGV)
local before = redis.call('HGET', P .. 'backfills', schedule)
if wanted == '' then
  if not before then return 0 end
  redis.call('HDEL', P .. 'backfills', schedule)
  remember(schedule, { at = NOW, what = 'backfill ended', by = by, note = words })
  return 1
end
local todo = cjson.decode(wanted)
if before then return cjson.decode(before).id == todo.id and 1 or 0 end
redis.call('HSET', P .. 'backfills', schedule, wanted)
remember(schedule, { at = NOW, what = 'backfill', by = by, note = words })
return 1
