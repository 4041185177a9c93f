"use strict";
// Drives OpenFGA's own JavaScript SDK, unpatched, through one scenario: `node drive.cjs NAME`.
// The server, a filled store and its model are in the environment; tests/openfga/model.py has them.

const assert = require("node:assert/strict");
const { createRequire } = require("node:module");

const sdk = createRequire(`${process.env.FGA_SDK}/`)("@openfga/sdk");
const { OpenFgaClient, CredentialsMethod, ConsistencyPreference } = sdk;
const { FGA_URL, FGA_STORE, FGA_MODEL, FGA_TOKEN } = process.env;
const FRESH = { consistency: ConsistencyPreference.HigherConsistency };

function client(more = {}) {
  return new OpenFgaClient({
    apiUrl: FGA_URL,
    storeId: FGA_STORE,
    authorizationModelId: FGA_MODEL,
    retryParams: { maxRetry: 0, minWaitInMs: 10 },
    ...more,
  });
}

function withToken(token) {
  const config = { token };
  return client({ credentials: { method: CredentialsMethod.ApiToken, config } });
}

function key(text) {
  const [left, user] = text.split("@");
  const [object, relation] = left.split("#");
  return { user, relation, object };
}

const ANN = "document:plan#viewer@user:ann";
const CY = "document:plan#viewer@user:cy";

const scenarios = {
  async stores() {
    const fga = client({ storeId: undefined, authorizationModelId: undefined });
    const made = await fga.createStore({ name: "acme" });
    assert.equal(made.name, "acme");
    assert.ok(new Date(made.created_at) > new Date(0));
    fga.storeId = made.id;
    const first = await fga.listStores({ pageSize: 1 });
    assert.equal(first.stores.length, 1);
    const rest = await fga.listStores({ continuationToken: first.continuation_token });
    const ids = [...first.stores, ...rest.stores].map((store) => store.id);
    assert.ok(ids.includes(made.id) && ids.includes(FGA_STORE));
    assert.deepEqual((await fga.listStores({ name: "other" })).stores, []);
    assert.equal((await fga.getStore()).name, "acme");
    await fga.deleteStore();
    await assert.rejects(fga.getStore(), (error) => {
      assert.ok(error instanceof sdk.FgaApiNotFoundError);
      assert.equal(error.apiErrorCode, "store_id_not_found");
      return true;
    });
  },

  async models() {
    const fga = client();
    const { authorization_model: model } = await fga.readAuthorizationModel();
    assert.equal(model.id, FGA_MODEL);
    const kinds = model.type_definitions.map((kind) => kind.type);
    assert.deepEqual(kinds, ["user", "group", "folder", "document"]);
    const view = model.type_definitions[3].relations.can_view;
    assert.equal(view.difference.base.computedUserset.relation, "viewer");
    assert.equal(model.conditions.small.parameters.x.type_name, "TYPE_NAME_INT");
    const { id, ...body } = model;
    const written = await fga.writeAuthorizationModel(body);
    assert.notEqual(written.authorization_model_id, id);
    const latest = (await fga.readLatestAuthorizationModel()).authorization_model;
    assert.equal(latest.id, written.authorization_model_id);
    const page = await fga.readAuthorizationModels({ pageSize: 1 });
    assert.equal(page.authorization_models[0].id, latest.id);
    assert.ok(page.continuation_token);
    await fga.checkValidApiConnection();
  },

  async writes() {
    const fga = client();
    const fresh = key("document:new#viewer@user:ann");
    const done = await fga.write({ writes: [fresh], deletes: [key(ANN)] });
    assert.deepEqual([...done.writes, ...done.deletes].map((one) => one.status), ["success", "success"]);
    assert.equal((await fga.check(fresh, FRESH)).allowed, true);
    assert.equal((await fga.check(key(ANN), FRESH)).allowed, false);
    await assert.rejects(fga.write({ writes: [fresh] }), (error) => {
      assert.ok(error instanceof sdk.FgaApiValidationError);
      assert.equal(error.apiErrorCode, "write_failed_due_to_invalid_input");
      assert.match(error.apiErrorMessage, /already exists/);
      return true;
    });
    const ignore = { onDuplicateWrites: "ignore", onMissingDeletes: "ignore" };
    await fga.write({ writes: [fresh], deletes: [key(ANN)] }, { conflict: ignore });
    await fga.writeTuples([key("document:more#viewer@user:ann")]);
    await fga.deleteTuples([key("document:more#viewer@user:ann")]);
  },

  async writes_in_chunks() {
    const fga = client();
    const many = Array.from({ length: 7 }, (_, n) => key(`document:${n}#viewer@user:ann`));
    const transaction = { disable: true, maxPerChunk: 2, maxParallelRequests: 3 };
    const done = await fga.write({ writes: [...many, key(ANN)] }, { transaction });
    const failed = done.writes.filter((one) => one.status === "failure");
    assert.equal(failed.length, 2);
    assert.ok(failed[0].err instanceof sdk.FgaApiValidationError);
  },

  async reads() {
    const fga = client();
    const page = await fga.read({ object: "document:plan" }, { pageSize: 2 });
    assert.equal(page.tuples.length, 2);
    const continuationToken = page.continuation_token;
    const rest = await fga.read({ object: "document:plan" }, { continuationToken });
    assert.equal(rest.tuples.length, 3);
    assert.equal(rest.continuation_token, "");
    assert.equal((await fga.read()).tuples.length, 9);
    const all = [...page.tuples, ...rest.tuples];
    const conditional = all.find((tuple) => tuple.key.user === "user:cy");
    assert.equal(conditional.key.condition.name, "small");
  },

  async changes() {
    const fga = client();
    const page = await fga.readChanges({ type: "folder" }, { pageSize: 5 });
    assert.deepEqual(page.changes.map((change) => change.tuple_key.user), ["user:fay"]);
    assert.equal(page.changes[0].operation, "TUPLE_OPERATION_WRITE");
    const continuationToken = page.continuation_token;
    assert.deepEqual((await fga.readChanges({ type: "folder" }, { continuationToken })).changes, []);
    const since = await fga.readChanges({ type: "", startTime: "2020-01-01T00:00:00Z" });
    assert.equal(since.changes.length, 9);
  },

  async checks() {
    const fga = client();
    assert.equal((await fga.check(key(ANN))).allowed, true);
    assert.equal((await fga.check({ ...key(CY), context: { x: 3 } })).allowed, true);
    const contextualTuples = [key("group:eng#member@user:new")];
    const asked = { ...key("document:plan#viewer@user:new"), contextualTuples };
    assert.equal((await fga.check(asked)).allowed, true);
    await assert.rejects(fga.check(key(CY)), (error) => {
      assert.equal(error.apiErrorCode, "validation_error");
      assert.equal(error.statusCode, 400);
      return true;
    });
    const authorizationModelId = "01JD0000000000000000000000";
    await assert.rejects(fga.check(key(ANN), { authorizationModelId }), (error) => {
      assert.equal(error.apiErrorCode, "authorization_model_not_found");
      return true;
    });
  },

  async batches() {
    const fga = client();
    const none = Array.from({ length: 60 }, (_, n) => key(`document:${n}#viewer@user:ann`));
    const checks = [...none, key(ANN), key(CY)].map((one, n) => ({ ...one, correlationId: `c${n}` }));
    const told = await fga.batchCheck({ checks });
    const results = new Map(told.result.map((one) => [one.correlationId, one]));
    assert.equal(results.size, 62);
    assert.equal(results.get("c60").allowed, true);
    assert.equal(results.get("c0").allowed, false);
    assert.equal(results.get("c61").error.input_error, "validation_error");
    const asked = [key(ANN), none[0], key(CY)];
    const parallel = await fga.clientBatchCheck(asked);
    // Told in the order in which they were answered.
    const told_of = (one) => parallel.result.find(({ _request }) => _request === one);
    assert.equal(parallel.result.length, 3);
    assert.deepEqual(asked.map((one) => told_of(one).allowed), [true, false, undefined]);
    assert.ok(told_of(asked[2]).error instanceof sdk.FgaApiValidationError);
  },

  async lists() {
    const fga = client();
    const asked = { user: "user:ann", relation: "viewer", type: "document" };
    const { objects } = await fga.listObjects(asked);
    assert.deepEqual(objects, ["document:open", "document:plan"]);
    const streamed = [];
    for await (const one of fga.streamedListObjects(asked)) streamed.push(one.object);
    assert.deepEqual(streamed, objects);
    const relations = ["viewer", "blocked", "can_share"];
    const held = await fga.listRelations({ user: "user:olga", object: "document:plan", relations });
    assert.deepEqual(held.relations.sort(), ["can_share", "viewer"]);
    const users = async (id, filter) =>
      (
        await fga.listUsers({
          object: { type: "document", id },
          relation: "viewer",
          user_filters: [filter],
          context: { x: 3 },
        })
      ).users;
    const people = await users("plan", { type: "user" });
    assert.deepEqual(people.map((one) => one.object.id), ["ann", "cy", "fay", "gil", "olga"]);
    const [group] = await users("plan", { type: "group", relation: "member" });
    assert.deepEqual(group.userset, { type: "group", id: "eng", relation: "member" });
    assert.deepEqual((await users("open", { type: "user" }))[0].wildcard, { type: "user" });
  },

  async expands() {
    const { tree } = await client().expand({ object: "document:plan", relation: "viewer" });
    assert.equal(tree.root.name, "document:plan#viewer");
    const [users, computed, walked] = tree.root.union.nodes;
    assert.deepEqual(users.leaf.users.users, ["group:eng#member", "user:ann", "user:cy"]);
    assert.equal(computed.leaf.computed.userset, "document:plan#owner");
    assert.equal(walked.leaf.tupleToUserset.tupleset, "document:plan#parent");
  },

  async assertions() {
    const fga = client();
    await fga.writeAssertions([{ ...key(ANN), expectation: true }]);
    const read = await fga.readAssertions();
    assert.equal(read.assertions[0].tuple_key.user, "user:ann");
    assert.equal(read.assertions[0].expectation, true);
  },

  async any_request() {
    const fga = client();
    const path = "/stores/{store_id}/check";
    const pathParams = { store_id: FGA_STORE };
    const body = { tuple_key: key(ANN) };
    const request = { operationName: "Check", method: "POST", path, pathParams, body };
    assert.equal((await fga.executeApiRequest(request)).allowed, true);
    const streamed = await fga.executeStreamedApiRequest({
      operationName: "StreamedListObjects",
      method: "POST",
      path: "/stores/{store_id}/streamed-list-objects",
      pathParams,
      body: { type: "document", relation: "viewer", user: "user:ann" },
    });
    let text = "";
    for await (const chunk of streamed) text += chunk;
    assert.match(text, /"document:plan"/);
    const zookie = (await fga.check(key(ANN))).$response.headers["stonetown-zookie"];
    assert.ok(zookie);
    const fresher = { ...request, body: { ...body, zookie } };
    assert.equal((await fga.executeApiRequest(fresher)).allowed, true);
  },

  async tokens() {
    const fresh = [key("document:a#viewer@user:ann")];
    await withToken(FGA_TOKEN).writeTuples(fresh);
    for (const [token, kind, code] of [
      ["wrong", sdk.FgaApiAuthenticationError, "unauthenticated"],
      ["few", sdk.FgaApiError, "forbidden"],
    ]) {
      await assert.rejects(withToken(token).writeTuples(fresh), (error) => {
        assert.ok(error instanceof kind, `${error.name}`);
        assert.equal(error.responseData.code, code);
        return true;
      });
    }
    await assert.rejects(client().check(key(ANN)), (error) => {
      assert.ok(error instanceof sdk.FgaApiAuthenticationError);
      assert.equal(error.responseData.code, "bearer_token_missing");
      return true;
    });
  },

  async retries() {
    const fga = client({ retryParams: { maxRetry: 5, minWaitInMs: 50 } });
    assert.equal((await fga.check(key(ANN), FRESH)).allowed, true);
  },

  async no_retries() {
    await assert.rejects(client().check(key(ANN), FRESH), (error) => {
      assert.ok(error instanceof sdk.FgaApiInternalError, `${error.name}`);
      assert.equal(error.responseData.code, "unavailable");
      return true;
    });
  },

  async too_much() {
    await assert.rejects(client().check(key(ANN), FRESH), (error) => {
      assert.ok(error instanceof sdk.FgaApiRateLimitExceededError, `${error.name}`);
      return true;
    });
  },
};

scenarios[process.argv[2]]().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
