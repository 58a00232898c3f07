// Calls of the service. Errors are thrown with the service's own sentence.

const TRIES = 30;

let token = sessionStorage.getItem("token") || "";
let askForToken = async () => "";

// Say how a token is asked for; the function gives a promise of it.
export function onTokenNeeded(ask) {
  askForToken = ask;
}

const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// A request that is repeated with a token where one is needed, and later where the queue is full.
export async function call(path, options = {}, onFull = () => {}) {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(path, { ...options, headers });
    if (answer.ok) return answer;
    if (answer.status === 401) {
      token = await askForToken();
      sessionStorage.setItem("token", token);
    } else if (answer.status === 429) {
      onFull();
      await wait(Number(answer.headers.get("Retry-After")) || 2);
    } else {
      throw new Error(await sentence(answer));
    }
  }
  throw new Error("429");
}

async function sentence(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

export const getJson = async (path) => (await call(path)).json();

// Send a file as a job that keeps what blending and previews need.
export async function submit(file, options, signal, onFull) {
  const form = new FormData();
  form.append("image", file, file.name);
  for (const [name, value] of Object.entries({ ...options, blend: "true" })) form.append(name, value);
  return (await call("/v1/jobs", { method: "POST", body: form, signal }, onFull)).json();
}

// Follow a job until it is finished; `onChange` is told of each step. Gives the finished job.
export async function follow(id, signal, onChange) {
  for (;;) {
    const answer = await call(`/v1/jobs/${id}/events`, { signal });
    let job = null;
    for await (const event of events(answer.body)) {
      job = event;
      onChange(job);
    }
    if (job && !["queued", "running"].includes(job.state)) return job;
    await wait(1); // the service restarted; it goes on with the job
  }
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

// A preview as a bitmap, with the values that are shown black and white.
export async function preview(id, which, plane, signal) {
  const answer = await call(`/v1/jobs/${id}/preview/${which}?plane=${plane}`, { signal });
  const bitmap = await createImageBitmap(await answer.blob());
  const [low, high] = answer.headers.get("X-Noiseless-Window").split(",").map(Number);
  return { bitmap, window: [low, high], reduced: Number(answer.headers.get("X-Noiseless-Reduced")) };
}

export const forget = (id) => call(`/v1/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});

// The result of a job, an image at some strength: the file, and what the service calls it.
export async function result(job, strength) {
  const answer = await call(`/v1/jobs/${job.id}/result${job.kind === "image" ? `?strength=${strength}` : ""}`);
  const name = decodeURIComponent(answer.headers.get("Content-Disposition").split("filename*=UTF-8''")[1]);
  return { blob: await answer.blob(), name };
}
