// The store's payment service: plain Node.js, no packages. A participant of a saga is any HTTP server.
//
//     node payment.mjs --journal FILE [--naive] [--port N] [--deaths DIR]
//
//     POST /charge   action: 200, or 422 no funds      POST /refund   its compensation
//
// Node.js 20 has no SQLite of its own, so the books are a journal: one line of JSON for each transaction, the barrier's
// row (sql/README.md) and the effect in the same line, synced before anything is answered. A line that was cut off by
// a crash never happened. One process at a time owns the file; it grows, and nothing in it is ever forgotten.
//
//     {"customer", "left"}                                                       opening balance
//     {"saga", "op":"action", "status", "body", ["number", "order", "customer", "amount", "left"]}   kept answer, and the effect if 200
//     {"saga", "op":"compensate", ["number", "order", "customer", "amount", "left"]}                 with an effect if it undid one
import fs from "node:fs";
import http from "node:http";

const BODY_MAX = 4095;
const options = parseArgs(process.argv.slice(2));
const left = new Map(); // customer → money
const answers = new Map(); // "saga step" → {status, body} of the action
const compensated = new Set(); // "saga step"
let last = 0; // number of the newest payment
const journal = openJournal();

function parseArgs(words) {
  const found = { port: "0" };
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "--naive") found.naive = true;
    else found[words[i].replace(/^--/, "")] = words[++i];
  }
  if (!found.journal) throw new Error("--journal FILE is needed");
  return found;
}

// ---- the journal ----

function apply(line) {
  const key = `${line.saga} ${line.step}`;
  if (line.op === "action") answers.set(key, { status: line.status, body: line.body });
  if (line.op === "compensate") {
    compensated.add(key);
    // The action never came, and may not come any more.
    if (!answers.has(key)) answers.set(key, { status: 410, body: "" });
  }
  if (line.left !== undefined) left.set(line.customer, line.left);
  if (line.number > last) last = line.number;
}

function openJournal() {
  const file = fs.openSync(options.journal, fs.constants.O_RDWR | fs.constants.O_CREAT);
  const text = fs.readFileSync(file);
  const whole = text.lastIndexOf(10) + 1;
  for (const line of text.subarray(0, whole).toString().split("\n")) if (line) apply(JSON.parse(line));
  fs.ftruncateSync(file, whole);
  fs.fsyncSync(file);
  return { file, end: whole };
}

// One transaction. If it can't be written nobody knows what is on disk: the process ends, and reads it anew.
function commit(line, between) {
  const bytes = Buffer.from(JSON.stringify(line) + "\n");
  try {
    if (between) {
      fs.writeSync(journal.file, bytes, 0, bytes.length >> 1, journal.end);
      between();
    }
    if (fs.writeSync(journal.file, bytes, 0, bytes.length, journal.end) !== bytes.length) throw new Error("disk full");
    fs.fsyncSync(journal.file);
  } catch (error) {
    console.error(`${options.journal}: ${error.message}`);
    process.exit(1);
  }
  journal.end += bytes.length;
  apply(line);
}

// ---- the work: what of it goes into the line ----

function charge({ order, customer, amount }) {
  const money = left.get(customer) ?? 0;
  if (!(Number.isSafeInteger(amount) && amount > 0 && money >= amount)) return null;
  return { number: last + 1, order, customer, amount, left: money - amount };
}

function refund({ order, customer, amount }) {
  return { number: last + 1, order, customer, amount: -amount, left: (left.get(customer) ?? 0) + amount };
}

// ---- what goes wrong, on order: the same as in fault.h ----

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const die = () => process.kill(process.pid, "SIGKILL");

function has(work, step, fault) {
  return options.deaths !== undefined && String(work.fault ?? "").split(".").includes(`${step}:${fault}`);
}

function once(work, step, fault) {
  if (!has(work, step, fault)) return false;
  try {
    fs.closeSync(fs.openSync(`${options.deaths}/${work.order}.${step}`, "wx"));
    return true;
  } catch {
    return false;
  }
}

async function faultBefore(work, step) {
  if (has(work, step, "401") && !fs.existsSync(`${options.deaths}/mended`)) return 401;
  if (once(work, step, "die-before")) die();
  if (once(work, step, "slow")) await pause(200);
  if (once(work, step, "late-before")) await pause(1600);
  return once(work, step, "500-before") ? 500 : 0;
}

async function faultAfter(work, step) {
  if (once(work, step, "die-after")) die();
  if (once(work, step, "late-after")) await pause(1600);
  return once(work, step, "500-after") ? 500 : 0;
}

const between = (work, step) => (once(work, step, "die-between") ? die : undefined);

// ---- a step, naive: as often as it is asked for ----

function runNaive(name, work) {
  const effect = name === "refund" ? refund(work) : has(work, name, "422") ? null : charge(work);
  if (effect === null) return [422, "no funds"];
  commit(effect, between(work, name));
  return [200, `number=${effect.number}`];
}

// ---- a step behind the barrier ----

function runAction(saga, step, work) {
  const kept = answers.get(`${saga} ${step}`);
  if (kept) return [kept.status, kept.body];
  const effect = has(work, "charge", "422") ? null : charge(work);
  const status = effect ? 200 : 422;
  const body = JSON.stringify(effect ? { number: effect.number } : { error: "no funds" });
  commit({ saga, step, op: "action", status, body, ...effect }, between(work, "charge"));
  return [status, body];
}

function runCompensation(saga, step, work) {
  const key = `${saga} ${step}`;
  if (!compensated.has(key)) {
    const effect = answers.get(key)?.status === 200 ? refund(work) : {};
    commit({ saga, step, op: "compensate", ...effect }, between(work, "refund"));
  }
  return [200, ""];
}

async function run(name, headers, work) {
  const early = await faultBefore(work, name);
  if (early) return [early, ""];
  const [saga, step] = [headers["saga-id"], headers["saga-step"]];
  const answer = options.naive ? runNaive(name, work) : name === "charge" ? runAction(saga, step, work) : runCompensation(saga, step, work);
  const late = await faultAfter(work, name);
  return late ? [late, ""] : answer;
}

// ---- HTTP ----

const isName = (text, max) => typeof text === "string" && text.length <= max && /^[!-~]+$/.test(text);

async function answer(request) {
  const url = new URL(request.url, "http://payment");
  const name = url.pathname.slice(1);
  const headers = request.headers;
  let text = "";
  let length = 0;
  for await (const piece of request.setEncoding("utf8")) {
    length += piece.length;
    if (length <= BODY_MAX) text += piece;
  }
  if (length > BODY_MAX) return [413, ""];
  if (request.method !== "POST" || (name !== "charge" && name !== "refund")) return [404, "no such path"];
  let work;
  if (options.naive) {
    work = Object.fromEntries(url.searchParams);
    work.amount = Number(work.amount);
  } else {
    const op = name === "charge" ? "action" : "compensate";
    if (!isName(headers["saga-id"], 255) || !isName(headers["saga-step"], 64) || headers["saga-op"] !== op) return [405, ""];
    try {
      work = JSON.parse(text);
    } catch {
      work = null;
    }
  }
  if (!isName(work?.order, 127) || work.order.includes("/")) return [400, "no order"];
  const first = await run(name, headers, work);
  return once(work, name, "twice") ? run(name, headers, work) : first;
}

const server = http.createServer(async (request, response) => {
  let status, body;
  try {
    [status, body] = await answer(request);
  } catch (error) {
    console.error(error);
    [status, body] = [503, ""];
  }
  response.writeHead(status).end(body);
});
server.listen(Number(options.port), "127.0.0.1", () => console.log(`listening ${server.address().port}`));
