-- Plan runs: one row each, planned once however often this is asked.
--
-- Keys:
--   full            string  whether planning is refused
-- Arguments: one JSON object a run (`Ledger.plan` writes it)
-- Answer: { JSON, what to ring }, with for each run { id, 'planned', 'known' or 'conflict', state, reason } in the
--   JSON

if redis.call('EXISTS', P .. 'full') == 1 then return redis.error_reply('LEDGERFULL') end
local answers = {}
for i = 1, #ARGV do answers[i] = plan(cjson.decode(ARGV[i])) end
return { cjson.encode(answers), rung() }
