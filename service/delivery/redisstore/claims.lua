-- Changes one request id atomically. KEYS[1] is a hash: content, the digest of the
-- update; owner, the claim; until, the end of its lease; sent, set once an attempt
-- may have been made; record, set once the update has ended.
local key, op, self, lease, keep = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local content, extra = ARGV[5], ARGV[6]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local kept = redis.call('HMGET', key, 'content', 'owner', 'until', 'sent', 'record')
local expired = kept[3] and tonumber(kept[3]) <= now
local sent, record = kept[4], kept[5]
local mine = kept[2] == self

local ops = {}

-- claim makes self the owner if there is none. If the lease of the owner has ended,
-- the request id is free unless the update may have been sent: its outcome is lost.
function ops.claim()
  if not kept[1] or expired and not sent and not record then
    redis.call('DEL', key)
    redis.call('HSET', key, 'content', content, 'owner', self, 'until', now + lease)
    redis.call('PEXPIRE', key, lease)
    return {'mine'}
  end
  if kept[1] ~= content then return {'other'} end
  if record then return {'kept', record} end
  if expired then return {'lost'} end
  return {'busy'}
end

-- hold is called before each attempt.
function ops.hold()
  if not mine or record then return {'gone'} end
  redis.call('HSET', key, 'until', now + lease, 'sent', '1')
  redis.call('PEXPIRE', key, math.max(keep, lease))
  return {'mine'}
end

-- renew extends the lease.
function ops.renew()
  if not mine or record then return {'gone'} end
  redis.call('HSET', key, 'until', now + lease)
  redis.call('PEXPIRE', key, sent and math.max(keep, lease) or lease)
  return {'mine'}
end

-- settle replaces the claim by a record, or by nothing if that is empty.
function ops.settle()
  if kept[2] and not mine then return {'gone'} end
  redis.call('DEL', key)
  if extra ~= '' then
    redis.call('HSET', key, 'content', content, 'owner', self, 'record', extra)
    redis.call('PEXPIRE', key, keep)
  end
  return {'settled'}
end

return ops[op]()
