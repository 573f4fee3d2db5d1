// A client that shares no code with the swarm: it connects to a node with js-libp2p, reads gossiped
// records and checks their signatures.
//
//   npm ci
//   node client.js /ip4/127.0.0.1/tcp/4001 [RECORDS] [SECONDS]
//
// It prints one line of JSON for the node and one for each record, and ends with 0 once so many
// records were read and all their signatures are good.
import { createHash } from 'node:crypto'
import { quic } from '@chainsafe/libp2p-quic'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { createLibp2p } from 'libp2p'

// js-libp2p uses it, and Node.js has it from version 22 on.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new Promise((...both) => { [resolve, reject] = both })
  return { promise, resolve, reject }
}

// The envelope: a fixed header, the payload, and a signature over everything before it.
const HEADER = 90
const SIGNATURE = 64
const DOMAIN = Buffer.from('swarm-node/round/1/envelope\0')
const KINDS = [
  'share seal', 'share reveal', 'critique seal', 'critique reveal', 'decide seal', 'decide reveal',
  'receipt', 'proposal', 'prevote', 'precommit', 'hello'
]

function open (bytes) {
  if (bytes.length < HEADER + SIGNATURE) throw new Error(`an envelope of ${bytes.length} bytes`)
  const record = Buffer.from(bytes)
  const signed = record.subarray(0, record.length - SIGNATURE)
  const payload = record.readUInt32LE(86)
  if (payload !== signed.length - HEADER) throw new Error(`a payload of ${payload} bytes`)
  const key = record.subarray(45, 78)
  const digest = createHash('sha256').update(DOMAIN).update(signed).digest()
  // The low-s form only, and the digest as it is.
  const options = { prehash: false, lowS: true, format: 'compact' }
  return {
    version: record.readUInt16LE(0),
    kind: KINDS[record[2] - 1],
    round: Number(record.readBigUInt64LE(35)),
    slot: record.readUInt16LE(43),
    peer: key.toString('hex'),
    bytes: record.length,
    signed: secp256k1.verify(record.subarray(-SIGNATURE), digest, key, options)
  }
}

async function main (address, records, seconds) {
  const node = await createLibp2p({
    // The swarm lets in keys of this type only.
    privateKey: await generateKeyPair('secp256k1'),
    transports: [tcp(), quic()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      ping: ping(),
      gossip: gossipsub({
        globalSignaturePolicy: 'StrictNoSign',
        msgIdFn: message => createHash('sha256').update(message.data).digest()
      })
    }
  })
  const identified = new Promise(resolve => {
    node.addEventListener('peer:identify', event => { resolve(event.detail) }, { once: true })
  })
  const connection = await node.dial(multiaddr(address))
  const { protocolVersion, agentVersion } = await identified
  console.log(JSON.stringify({
    node: connection.remotePeer.toString(),
    over: connection.remoteAddr.toString(),
    agent: agentVersion,
    swarm: protocolVersion,
    ping_ms: await node.services.ping.ping(connection.remotePeer)
  }))

  let good = 0
  const read = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${good} records in ${seconds} s`)), seconds * 1000).unref()
    node.services.gossip.addEventListener('message', event => {
      const record = open(event.detail.data)
      console.log(JSON.stringify(record))
      if (!record.signed || record.version !== 1 || record.kind === undefined) {
        reject(new Error('a record that is not what the protocol says'))
      }
      good += 1
      if (good === records) resolve()
    })
  })
  node.services.gossip.subscribe(`${protocolVersion}/records/1`)
  await read
  await node.stop()
}

const [address, records = '5', seconds = '60'] = process.argv.slice(2)
if (address === undefined) {
  console.error('node client.js ADDRESS [RECORDS] [SECONDS]')
  process.exit(2)
}
main(address, Number(records), Number(seconds)).then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
