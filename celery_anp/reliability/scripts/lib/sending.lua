-- The end of a script: what it made is written down, what it queued is sent or handed to its caller.
--
-- Keys:
--   run:<id>        hash    its list and message
--   row.list        list    its message is put there
-- Uses: NOW, RING, WIRE, MADE, int, get, write_down, finish, trim
-- Provides: rung

-- Put a message on the broker's list, with the time as its stamp. A task that is not guarded is done with it.
local function send(id, wire)
  local _, last = string.find(wire, '"anp_rung": 0', 1, true)
  wire = string.sub(wire, 1, last - 1) .. int(NOW) .. string.sub(wire, last + 1)
  redis.call('LPUSH', get(id, 'list'), wire)
  if get(id, 'unguarded') == '1' then finish(id, 'sent', 'its message is with the broker') end
end

-- The last words of a script: the time, then what its caller has to ring: id, message, id, message, …
local function rung(asked)
  local out = { int(NOW) }
  for id in pairs(MADE) do write_down(id) end
  for _, id in ipairs(RING) do
    if get(id, 'at') == 'queue' then
      if WIRE[id] then
        send(id, WIRE[id])
      else
        out[#out + 1] = id
        out[#out + 1] = get(id, 'message')
      end
    end
  end
  trim(asked)
  return out
end
