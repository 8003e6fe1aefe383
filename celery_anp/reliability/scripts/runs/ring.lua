-- Ring the queued runs whose message is gone: it is older than a grace, and its own queue-and-priority list is empty
-- or begins with a younger message. The pause grows with each ring of a run. Limit: behind a backlog of N rows, a
-- lost message is found once the rows before it were looked at, N / most rounds.
-- What goes to a plain list is sent here; the other messages are handed out, for kombu to send.
--
-- Keys:
--   queued          zset    from when each may be rung
--   row.list        list    the oldest message of each list
--   run:<id>        hash    when it was rung last, and how often
-- Arguments: most rows
-- Answer: the time, their stamp, then id, message, id, message, … of those that are handed out

local oldest, out = {}, { int(NOW) }
local function stamp_of(list)
  if oldest[list] == nil then
    local head = redis.call('LINDEX', list, -1)
    oldest[list] = head and (tonumber(string.match(head, '"anp_rung": ?"?(%d+)')) or NOW) or false
  end
  return oldest[list]
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'queued', '-inf', int(NOW), 'LIMIT', 0, tonumber(ARGV[1]))) do
  local list = get(id, 'list')
  local head = list ~= '' and stamp_of(list)
  if get(id, 'state') == '' then
    redis.call('ZREM', P .. 'queued', id)
  elseif too_late(id) then
    finish(id, 'expired', 'its start deadline passed in the queue')
  elseif head and head <= number(id, 'rung') then
    redis.call('ZADD', P .. 'queued', NOW + GRACE, id)
  else
    local rings = number(id, 'rings')
    redis.call('ZADD', P .. 'queued', int(NOW + GRACE * 2 ^ math.min(rings, 6)), id)
    set(id, 'rung', NOW, 'rings', rings + 1)
    if place(id) then
      RING[#RING + 1] = id
    else
      out[#out + 1] = id
      out[#out + 1] = get(id, 'message')
    end
  end
end
rung()
return out
