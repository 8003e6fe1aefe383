-- Decide ticks: for each schedule compare its cursor, move it, and plan its rows, all or nothing per schedule.
-- ARGV[1..n]: JSON { name, seen, cursor, runs = [spec, …] } with `seen` the cursor the plan was worked out from
-- ('' for none). Answers for each schedule: { name, 'decided' or 'moved', cursor, { plan answers } }; then what to ring.
if redis.call('EXISTS', P .. 'full') == 1 then return redis.error_reply('LEDGERFULL') end
local answers = {}
for i = 1, #ARGV do
  local decision = cjson.decode(ARGV[i])
  local cursor = redis.call('HGET', P .. 'cursors', decision.name) or ''
  if cursor ~= decision.seen then
    answers[i] = { decision.name, 'moved', cursor, {} }
  else
    redis.call('HSET', P .. 'cursors', decision.name, decision.cursor)
    local plans = {}
    for j, spec in ipairs(decision.runs) do plans[j] = plan(spec) end
    answers[i] = { decision.name, 'decided', decision.cursor, plans }
  end
end
return { answers, rung() }
