-- Go on with a backfill. Plans as many as its rate allows: one at a time where there is a lock, and none while the
-- lock is taken, so that no live tick waits for more than one. A tick that was skipped or has expired is planned
-- anew; any other row stays as it is.
--
-- Keys:
--   backfills       hash    how far it has come
--   queued          zset    how many runs wait: behind too many it pauses
--   locks           hash    whether a lock is taken
--   waiters:<lock>  zset    whether somebody waits for it
--   run:<id>        hash    whether a tick has its row
-- Arguments: schedule, id of the backfill, the tick (s) it had reached, 1 if these are its last ticks, then specs in
--   the order of their ticks
-- Answer: for each run that it planned what plan.lua answers

local schedule, id, seen, last = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local BACKLOG = 1000         -- queued runs beyond which a backfill waits
local held = redis.call('HGET', P .. 'backfills', schedule)
local todo = held and cjson.decode(held)
if not todo or todo.id ~= id or int(todo.reached) ~= seen then return {} end
if no_room(bytes_from(5)) or redis.call('ZCARD', P .. 'queued') > BACKLOG then return {} end

local function taken(row)
  return row.lock and row.overlap ~= 'allow_all'
    and (redis.call('HEXISTS', P .. 'locks', row.lock) == 1 or redis.call('ZCARD', P .. 'waiters:' .. row.lock) > 0)
end

local quota = math.min(math.ceil(todo.rate / 60), math.floor((NOW - todo.at) * todo.rate / 60000))
local done, answers = 4, {}
for i = 5, #ARGV do
  local spec = cjson.decode(ARGV[i])
  local state = get(spec.id, 'state')
  local runs = state == '' or ((state == 'skipped' or state == 'expired') and number(spec.id, 'attempts') == 0)
  if runs and (quota < 1 or taken(spec.row)) then break end
  if runs then
    answers[#answers + 1] = state == '' and plan(spec) or plan_again(spec, 'backfill by ' .. todo.by)
    todo.planned, todo.at, quota = todo.planned + 1, NOW, quota - 1
  else
    todo.left = todo.left + 1
  end
  todo.reached, done = tonumber(spec.row.tick) / 1000, i
end
if last and done == #ARGV then
  local told = 'ran ' .. int(todo.planned) .. ', left ' .. int(todo.left) .. ' as they were'
  redis.call('HDEL', P .. 'backfills', schedule)
  remember(schedule, { at = NOW, what = 'backfilled', by = todo.by, note = told })
else
  redis.call('HSET', P .. 'backfills', schedule, cjson.encode(todo))
end
rung()
return answers
