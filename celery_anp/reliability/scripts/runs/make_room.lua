-- Near Redis' memory limit: forget the oldest finished rows with all that is theirs, and before them Celery's records
-- of runs whose rows are gone already. Beyond its limit Redis takes only commands that free memory: no other is here.
--
-- Keys:
--   results         zset    records without a row, the oldest first
--   runs            zset    the rows, the oldest first
--   run:<id>        hash    whether it may go
-- Arguments: how many rows to pass over, which had to stay; most rows
-- Answer: how many records and rows it forgot, how many rows it looked at, and how many of them stayed

local FRESH = 10000          -- ms that an end stays: whoever settled it may ask again for the answer, `.get()` read it
local over, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local forgot = 0
for _, key in ipairs(redis.call('ZRANGE', P .. 'results', 0, most - 1)) do
  redis.call('UNLINK', key)
  redis.call('ZREM', P .. 'results', key)
  forgot = forgot + 1
end
if forgot > 0 then return { forgot, 0, 0 } end
local ids = redis.call('ZRANGE', P .. 'runs', over, over + most - 1)
for _, id in ipairs(ids) do
  if may_go(id, '') and number(id, 'finished') <= NOW - FRESH then
    forget(id)
    forgot = forgot + 1
  end
end
return { forgot, #ids, #ids - forgot }
