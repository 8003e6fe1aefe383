-- Forget rows whose time has come: Redis drops the row, this drops it from the indexes.
--
-- Keys:
--   expiring        zset    whose time has come
--   run:<id>        hash    its schedule
--   schedule:<name> zset    it leaves
-- Arguments: most rows
-- Answer: how many

local gone = redis.call('ZRANGEBYSCORE', P .. 'expiring', '-inf', int(NOW), 'LIMIT', 0, tonumber(ARGV[1]))
for _, id in ipairs(gone) do
  local schedule = get(id, 'schedule')
  if schedule == '' then schedule = string.match(id, '^(.*)@[%dT:Z.-]+$') or '' end
  forget(id)
  if schedule ~= '' then redis.call('ZREM', P .. 'schedule:' .. schedule, id) end
end
return #gone
