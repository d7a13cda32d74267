import assert from 'node:assert/strict';
import { test } from 'node:test';

import { idempotencyKey, type Place } from '../dist/nodes/AvitoGateway/key.js';

const PLACE: Place = {
	instanceId: 'instance',
	executionId: '17',
	nodeName: 'Ответ клиенту',
	runIndex: 2,
	itemIndex: 3,
};

test('the same place gives the same key, which a header can carry', () => {
	const key = idempotencyKey(PLACE);

	assert.equal(key, idempotencyKey({ ...PLACE }));
	assert.match(key, /^n8n-17-[0-9a-f]{16}-2-3$/);
});

test('each part of the place makes another key', () => {
	const changes: Array<Partial<Place>> = [
		{},
		{ instanceId: 'other' },
		{ executionId: '18' },
		{ nodeName: 'Ответ клиенту1' },
		{ runIndex: 3 },
		{ itemIndex: 4 },
	];

	const keys = changes.map((change) => idempotencyKey({ ...PLACE, ...change }));

	assert.equal(new Set(keys).size, changes.length);
});
