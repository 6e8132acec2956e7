-- Changes one request id, or the marker of its bucket, by one script.
--
-- KEYS[1] is a hash: content, the digest of the update; owner, the claim; until, the end
-- of its lease; sent, set once an attempt may have been made; and record, set once the
-- update has ended. Before its last part, the key is that of the bucket's marker: an id
-- that is another one after data was lost, and the end of the recovery from that.
local call = redis.call
local key, op, self, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local known, age = ARGV[4], ARGV[5]
local keep, content, extra, held = ARGV[6], ARGV[7], ARGV[8], ARGV[9] == '1'

-- settle replaces the claim by a record, or by nothing if that is empty.
if op == 'settle' then
  local owner = call('HMGET', key, 'owner')[1]
  if owner and owner ~= self then return {'gone', ''} end
  if extra == '' then
    call('DEL', key)
  else
    call('HSET', key, 'content', content, 'owner', self, 'record', extra)
    call('PEXPIRE', key, keep)
  end
  return {'settled', ''}
end

local clock = call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(clock[2] / 1000)

-- marker returns its id and the rest of the recovery. A recovery begins when a replica
-- that knows another marker finds that data was lost, unless one began before.
local function marker()
  local name = string.match(key, '^[^}]*}')
  local text = call('GET', name)
  local id, recovery = string.match(text or '', '^(%S+) (%d+)$')
  if not id or known ~= '' and known ~= id and recovery == '0' then
    id = id or self
    recovery = known ~= '' and string.format('%.0f', now + lease) or '0'
    call('SET', name, id .. ' ' .. recovery, 'PX', age)
  elseif op == 'confirm' then
    call('PEXPIRE', name, age)
  end
  return id, tonumber(recovery) - now
end

if op == 'confirm' then return {'confirmed', (marker())} end

local kept = call('HMGET', key, 'content', 'owner', 'until', 'sent', 'record')
local expired = kept[3] and tonumber(kept[3]) <= now
local sent, record = kept[4], kept[5]
local mine = kept[2] == self and not record

-- own makes self the owner for a lease. If the update may have been sent, that is kept
-- for longer.
local function own(may_be_sent)
  if may_be_sent then
    call('HSET', key, 'content', content, 'owner', self, 'until', now + lease, 'sent', '1')
  else
    call('HSET', key, 'content', content, 'owner', self, 'until', now + lease)
  end
  call('PEXPIRE', key, may_be_sent and math.max(keep, lease) or lease)
end

-- claim makes self the owner if there is none. If the lease of the owner has ended,
-- the request id is free unless the update may have been sent: its outcome is lost.
-- Self may claim again, to say whether it may send.
local function claim()
  local free = not kept[1] or expired and not sent and not record
  if not free and not mine then
    if kept[1] ~= content then return {'other', ''} end
    if record then return {'kept', record, ''} end
    return {expired and 'lost' or 'busy', ''}
  end
  local id, left = marker()
  if free and left > 0 then return {'recovering', string.format('%.0f', left), id} end
  if kept[1] then call('DEL', key) end
  own(held)
  return {'mine', id}
end

if op == 'claim' then return claim() end

-- A claim that was lost after an attempt is restored. hold is called before each
-- attempt, and renew now and then.
local id = op == 'renew' and marker() or ''
if not mine and (kept[1] or not held) then return {'gone', id} end
own(op == 'hold' or sent or held)
return {'mine', id}
