// pg-boss: fetch and complete in a loop, which is faster than its workers; its workers with LISTEN for the latency.
import { PgBoss } from 'pg-boss'

import { Latencies, serve, timed } from './commands.mjs'

const { PGHOST: host, PGUSER: user, PGDATABASE: database, PGPORT: port } = process.env
const boss = new PgBoss({ host, user, database, port: +port, max: 12, supervise: false, schedule: false, useListenNotify: true })
boss.on('error', error => console.error(String(error)))
await boss.start()
await boss.createQueue('noop')
await boss.createQueue('latency', { notify: true })

await serve({
  clear: async () => { await boss.deleteAllJobs('noop') },
  enqueue: ({ jobs, at_once }) => timed(async () => {
    for (let first = 0; first < jobs; first += at_once) {
      if (at_once === 1) await boss.send('noop', { id: first })
      else await boss.insert('noop', Array.from({ length: Math.min(at_once, jobs - first) }, (_, n) => ({ data: { id: first + n } })))
    }
  }),
  drain: async ({ at_once }) => {
    let done = 0
    const result = await timed(async () => {
      for (;;) {
        const jobs = await boss.fetch('noop', { batchSize: at_once })
        if (!jobs.length) return
        await boss.complete('noop', jobs.map(job => job.id))
        done += jobs.length
      }
    })
    return { ...result, done }
  },
  latency: async command => {
    const latencies = new Latencies()
    await boss.work('latency', { batchSize: 1, pollingIntervalSeconds: 2 }, async ([job]) => latencies.ran(job.data.id))
    const result = await latencies.measure(command, id => boss.send('latency', { id }))
    await boss.offWork('latency')
    return result
  },
})
