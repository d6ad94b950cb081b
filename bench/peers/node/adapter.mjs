// An adapter for node-oidc-provider, to the contract that its documentation gives (docs/README.md, "adapter"): every
// method is asynchronous and takes a millisecond, as one over a network would. Each single operation is atomic.
import { setTimeout } from 'node:timers/promises';

const records = new Map();
const grants = new Map();

export class AsynchronousAdapter {
  constructor(model) { this.model = model; }

  key(id) { return `${this.model}:${id}`; }

  async upsert(id, payload, expiresIn) {
    await setTimeout(1);
    const key = this.key(id);
    records.set(key, { payload: { ...payload }, until: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
    if (payload.grantId) grants.set(payload.grantId, [...(grants.get(payload.grantId) ?? []), key]);
  }

  async find(id) {
    await setTimeout(1);
    return this.read(this.key(id));
  }

  async findByUid(uid) {
    await setTimeout(1);
    return this.search((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    await setTimeout(1);
    return this.search((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    await setTimeout(1);
    const record = records.get(this.key(id));
    if (record) record.payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    await setTimeout(1);
    records.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    await setTimeout(1);
    for (const key of grants.get(grantId) ?? []) records.delete(key);
    grants.delete(grantId);
  }

  read(key) {
    const record = records.get(key);
    return record && record.until > Date.now() ? { ...record.payload } : undefined;
  }

  search(matches) {
    for (const [key, record] of records) {
      if (key.startsWith(`${this.model}:`) && matches(record.payload)) return this.read(key);
    }
    return undefined;
  }
}
