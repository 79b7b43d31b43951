// A peer behind a pipe: each line of stdin is a command, `{"do": …}`, answered by one line. Where Postgres is stands in PGHOST and
// the other variables of libpq.
import readline from 'node:readline'

export const now = () => Number(process.hrtime.bigint()) / 1e6
export const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
export const timed = async work => {
  const start = now()
  await work()
  return { seconds: (now() - start) / 1000 }
}

const WARM_UP = 50

// Enqueues one job after the other, each when the last one ran and a pause was over. `enqueue` is told a number, and `ran` is called
// with it at the start of the job.
export class Latencies {
  #waiting = new Map()

  ran(id) {
    this.#waiting.get(id)?.(now())
  }

  async measure({ jobs, pause_ms }, enqueue) {
    const fromEnqueue = [], fromCommit = []
    for (let id = 0; id < jobs + WARM_UP; id++) {
      await pause(pause_ms)
      const ran = new Promise(resolve => this.#waiting.set(id, resolve))
      const begin = now()
      await enqueue(id)
      const committed = now()
      const at = await ran
      this.#waiting.delete(id)
      if (id >= WARM_UP) {
        fromEnqueue.push(at - begin)
        fromCommit.push(Math.max(0, at - committed))
      }
    }
    return { enqueue_to_start_ms: fromEnqueue, commit_to_start_ms: fromCommit }
  }
}

export async function serve(commands) {
  console.log('{}')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line)
    console.log(JSON.stringify(await commands[command.do](command) ?? {}))
  }
  process.exit(0)
}
