-- Forget rows whose time has come: Redis drops the row, this drops it from the indexes. The same for what is kept of
-- schedules that were removed long ago.
--
-- Keys:
--   expiring        zset    whose time has come
--   run:<id>        hash    its schedule
--   schedule:<name> zset    it leaves
--   results         zset    records of Celery's that are gone leave
--   removed         zset    schedules that are no longer declared, and since when
--   hands           hash    their overrides go
--   hands:<name>    list    and their history
-- Arguments: most rows
-- Answer: how many

local REMEMBERED = 90 * 86400000        -- ms that the overrides and the history of a removed schedule are kept
local most = tonumber(ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', P .. 'expiring', '-inf', int(NOW), 'LIMIT', 0, most)
for _, id in ipairs(gone) do
  local schedule = get(id, 'schedule')
  if schedule == '' then schedule = string.match(id, '^(.*)@[%dT:Z.-]+$') or '' end
  forget(id)
  if schedule ~= '' then redis.call('ZREM', P .. 'schedule:' .. schedule, id) end
end
redis.call('ZREMRANGEBYSCORE', P .. 'results', '-inf', int(NOW))
local removed = redis.call('ZRANGEBYSCORE', P .. 'removed', '-inf', int(NOW - REMEMBERED), 'LIMIT', 0, most)
for _, name in ipairs(removed) do
  redis.call('HDEL', P .. 'hands', name)
  redis.call('UNLINK', P .. 'hands:' .. name)
  redis.call('ZREM', P .. 'removed', name)
end
return #gone
