-- Changes one request id, or the marker of its bucket, by one script.
--
-- KEYS[1] is a hash: content, the digest of the update; owner, the claim; until, the end
-- of its lease; sent, set once an attempt may have been made; and record, set once the
-- update has ended. Before its last part, the key is that of the bucket's marker: an id
-- that is another one after data was lost, and the end of the recovery from that.
local key, op, self, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local known, age = ARGV[4], ARGV[5]
local keep, content, extra, held = tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9] == '1'
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- marker returns its id and the rest of the recovery. A recovery begins when a replica
-- that knows another marker finds that data was lost, unless one began before.
local function marker()
  local name = string.match(key, '^[^}]*}')
  local text = redis.call('GET', name)
  local id, recovery = string.match(text or '', '^(%S+) (%d+)$')
  if not id or known ~= '' and known ~= id and recovery == '0' then
    id = id or self
    recovery = known ~= '' and string.format('%.0f', now + lease) or '0'
    redis.call('SET', name, id .. ' ' .. recovery, 'PX', age)
  else
    redis.call('PEXPIRE', name, age)
  end
  return id, tonumber(recovery) - now
end

if op == 'confirm' then return {'confirmed', (marker())} end

local kept = redis.call('HMGET', key, 'content', 'owner', 'until', 'sent', 'record')
local expired = kept[3] and tonumber(kept[3]) <= now
local sent, record = kept[4], kept[5]
local mine = kept[2] == self

local ops = {}

-- claim makes self the owner if there is none. If the lease of the owner has ended,
-- the request id is free unless the update may have been sent: its outcome is lost.
function ops.claim()
  if not kept[1] or expired and not sent and not record then
    local id, left = marker()
    if left > 0 then return {'recovering', string.format('%.0f', left), id} end
    redis.call('DEL', key)
    redis.call('HSET', key, 'content', content, 'owner', self, 'until', now + lease)
    redis.call('PEXPIRE', key, lease)
    return {'mine', id}
  end
  if kept[1] ~= content then return {'other', ''} end
  if record then return {'kept', record, ''} end
  if expired then return {'lost', ''} end
  return {'busy', ''}
end

-- restore makes self the owner again if the claim was lost after an attempt.
local function restore()
  if kept[1] or not held then return end
  redis.call('HSET', key, 'content', content, 'owner', self)
  mine, sent = true, '1'
end

-- hold is called before each attempt.
function ops.hold()
  restore()
  if not mine or record then return {'gone', ''} end
  redis.call('HSET', key, 'until', now + lease, 'sent', '1')
  redis.call('PEXPIRE', key, math.max(keep, lease))
  return {'mine', ''}
end

-- renew extends the lease.
function ops.renew()
  local id = marker()
  restore()
  if not mine or record then return {'gone', id} end
  redis.call('HSET', key, 'until', now + lease)
  if sent then redis.call('HSET', key, 'sent', '1') end
  redis.call('PEXPIRE', key, sent and math.max(keep, lease) or lease)
  return {'mine', id}
end

-- settle replaces the claim by a record, or by nothing if that is empty.
function ops.settle()
  if kept[2] and not mine then return {'gone', ''} end
  redis.call('DEL', key)
  if extra ~= '' then
    redis.call('HSET', key, 'content', content, 'owner', self, 'record', extra)
    redis.call('PEXPIRE', key, keep)
  end
  return {'settled', ''}
end

return ops[op]()
