// graphile-worker: its task runner with a local queue of a hundred jobs, whose completions are sent together, and without one.
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'

import { Latencies, serve, timed } from './commands.mjs'

const logger = new Logger(() => () => {})
const pool = new pg.Pool({ max: 12 })
pool.on('error', () => {})
const utils = await makeWorkerUtils({ pgPool: pool, logger })
await utils.migrate()

// Its completions are sent together. From 1 to 100 jobs at once its rate was the same within the noise; none of them is its best.
const batched = size => ({ concurrentJobs: 24, localQueue: { size }, completeJobBatchDelay: 0, failJobBatchDelay: 0 })
const runner = (taskList, options) => run({ preset: { worker: { pgPool: pool, logger, ...options } }, taskList })
const add = id => pool.query({ name: 'add', text: `select graphile_worker.add_job('noop', json_build_object('id', $1::int))`, values: [id] })

await serve({
  clear: () => pool.query('truncate graphile_worker._private_jobs'),
  enqueue: ({ jobs, at_once }) => timed(async () => {
    for (let first = 0; first < jobs; first += at_once) {
      if (at_once === 1) {
        await add(first)
        continue
      }
      const specs = Array.from({ length: Math.min(at_once, jobs - first) }, (_, n) => ({ identifier: 'noop', payload: { id: first + n } }))
      const text = 'select 1 from graphile_worker.add_jobs(array(select json_populate_recordset(null::graphile_worker.job_spec, $1::json)))'
      await pool.query({ name: 'add-many', text, values: [JSON.stringify(specs)] })
    }
  }),
  drain: async ({ jobs, at_once }) => {
    let done = 0, finished
    const all = new Promise(resolve => (finished = resolve))
    let running
    const result = await timed(async () => {
      running = await runner({ noop: () => { if (++done === jobs) finished() } }, at_once > 1 ? batched(at_once) : { concurrentJobs: 1 })
      await all
    })
    await running.stop()
    return { ...result, done }
  },
  latency: async command => {
    const latencies = new Latencies()
    const running = await runner({ noop: ({ id }) => latencies.ran(id) }, { concurrentJobs: 4 })
    const result = await latencies.measure(command, add)
    await running.stop()
    return result
  },
})
