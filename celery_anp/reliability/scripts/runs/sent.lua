-- The messages of these runs are out: a run of a task that is not guarded ends with it.
--
-- Keys:
--   run:<id>        hash    whether its task is guarded
-- Arguments: ids
-- Answer: how many ids

for _, id in ipairs(ARGV) do
  if get(id, 'unguarded') == '1' and get(id, 'at') == 'queue' then
    finish(id, 'sent', 'its message is with the broker')
  end
end
rung(ARGV[1])
return #ARGV
