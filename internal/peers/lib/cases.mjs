// Each case is one line of JSON on standard output, which peers_test.go makes a subtest of.
import assert from 'node:assert/strict';

// The server, or the library on what the server sent, lets something through. Returns what run returned.
export async function accepts(what, run) {
  try {
    const result = await run();
    tell(`accepts ${what}`, true, '');
    return result;
  } catch (error) {
    tell(`accepts ${what}`, false, error.stack + '\n' + JSON.stringify(describe(error)));
  }
}

// Something must fail, and as wanted says: with its error code, its status, or the code of the library.
export async function refuses(what, run, wanted) {
  let found;
  try {
    const result = await run();
    tell(`refuses ${what}`, false, `it was let through: ${JSON.stringify(result)}`);
    return;
  } catch (error) {
    found = describe(error);
  }
  const fits = (name) =>
    wanted[name] instanceof RegExp ? wanted[name].test(found[name]) : found[name] === wanted[name];
  const differs = Object.keys(wanted).filter((name) => !fits(name));
  tell(`refuses ${what}`, differs.length === 0, `${JSON.stringify(found)}, wanted ${JSON.stringify(wanted, patterns)}`);
}

const patterns = (_, value) => (value instanceof RegExp ? String(value) : value);

// Waits until what is asked for is so; the server tells others after it has answered the browser.
export async function until(what, question) {
  for (let tries = 0; tries < 200; tries++) {
    if (await question()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it never came: ${what}`);
}

// Reads a plain answer; one that is not 2xx is a failure.
export async function answered(pending) {
  const response = await pending;
  const text = await response.text();
  if (response.ok) return text && JSON.parse(text);
  const { error, error_description } = text.startsWith('{') ? JSON.parse(text) : {};
  throw Object.assign(new Error('the server refused'), { status: response.status, error, error_description });
}

// What is known of a failure, wherever it comes from.
function describe(error) {
  const challenge = Array.isArray(error.cause) ? error.cause[0] : undefined;
  return {
    error: error.error ?? challenge?.parameters?.error,
    scheme: challenge?.scheme,
    status: error.status,
    code: error.code,
    description: error.error_description ?? challenge?.parameters?.error_description ?? error.message,
    cause: error.cause?.message,
  };
}

function tell(name, ok, detail) {
  process.stdout.write(JSON.stringify({ name, ok, detail }) + '\n');
}

export { assert };
