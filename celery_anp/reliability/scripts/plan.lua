-- Plan runs: one row each, planned once however often this is asked.
-- ARGV[1..n]: one JSON object a run (Ledger.plan writes it). Answers JSON, for each { id, what, state, reason }, where what
-- is 'planned', 'known' or 'conflict'; then the time and what to ring.
if redis.call('EXISTS', P .. 'full') == 1 then return redis.error_reply('LEDGERFULL') end
local answers = {}
for i = 1, #ARGV do answers[i] = plan(cjson.decode(ARGV[i])) end
return { cjson.encode(answers), rung() }
