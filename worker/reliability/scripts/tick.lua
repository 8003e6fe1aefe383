-- Decide ticks: for each schedule compare its cursor, move it, and plan its rows, all or nothing per schedule.
-- ARGV[1]: digest of the schedules that the plans were worked out from; '' is not compared.
-- ARGV[2..n]: JSON { name, seen, cursor, runs = [spec, …] } with `seen` the cursor a plan was worked out from ('' for
-- none). Answers { 'ok', for each schedule { name, 'decided' or 'moved', cursor, { plan answers } }, what to ring };
-- only { 'retired' } when other schedules are live, only { 'lost' } when Redis knows of none.
if redis.call('EXISTS', P .. 'full') == 1 then return redis.error_reply('LEDGERFULL') end
if ARGV[1] ~= '' then
  local live = redis.call('HGET', P .. 'generation', 'digest')
  if live ~= ARGV[1] then return { live and 'retired' or 'lost' } end
end
local decisions, names, answers = {}, {}, {}
for i = 2, #ARGV do
  decisions[i - 1] = cjson.decode(ARGV[i])
  names[i - 1] = decisions[i - 1].name
end
local cursors = #names > 0 and redis.call('HMGET', P .. 'cursors', unpack(names))
local hands = #names > 0 and redis.call('HMGET', P .. 'hands', unpack(names))
for i, decision in ipairs(decisions) do
  local cursor = cursors[i] or ''
  if cursor ~= decision.seen then
    answers[i] = { decision.name, 'moved', cursor, {} }
  else
    redis.call('HSET', P .. 'cursors', decision.name, decision.cursor)
    local plans = {}
    for j, spec in ipairs(decision.runs) do
      local why = hands[i] and not spec.ends and held(hands[i], tonumber(spec.row.tick))
      if why then spec.ends, spec.reason = 'skipped', why end
      plans[j] = plan(spec)
    end
    answers[i] = { decision.name, 'decided', decision.cursor, plans }
  end
end
return { 'ok', answers, rung() }
