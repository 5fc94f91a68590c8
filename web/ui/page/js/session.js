// Who is logged in. The cookie is HttpOnly, so the page learns it only from how the server answers.
import { get, login, logout } from "./api.js";
import * as live from "./live.js";

const linkPattern = /^#login=(.+)$/;

/** known tells whether the browser is logged in. It throws a Problem when that cannot be found out. */
export async function known() {
  try {
    await get("session");
    return true;
  } catch (problem) {
    if (problem.status === 401) return false;
    throw problem;
  }
}

/**
 * takeLink logs in with the one-time link that brought the visitor here, if one did, and takes its secret out of
 * the address bar and the history. It throws a Problem if the link is used up.
 */
export async function takeLink() {
  const match = linkPattern.exec(location.hash);
  if (!match) return;
  history.replaceState(null, "", "#/");
  await login({ link: decodeURIComponent(match[1]) });
}

/** enter logs in with a key. */
export function enter(key) {
  return login({ key });
}

/** leave logs out and drops what is open. */
export async function leave() {
  live.close();
  await logout();
}

let asking = null;

/** check asks whether the session still holds; api.js tells everybody if it does not. */
export function check() {
  asking ??= get("session").catch(() => {}).finally(() => { asking = null; });
  return asking;
}
