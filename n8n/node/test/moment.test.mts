import assert from 'node:assert/strict';
import { test } from 'node:test';

import { withOffset } from '../dist/nodes/AvitoGateway/moment.js';

for (const [given, told] of [
	['2026-11-25T10:00:00', '2026-11-25T10:00:00.000+03:00'],
	['2026-11-25T10:00:00Z', '2026-11-25T10:00:00.000Z'],
	['2026-11-25T10:00:00.000-05:00', '2026-11-25T10:00:00.000-05:00'],
	['tomorrow', 'tomorrow'],
] as const) {
	test(`${given} in Moscow is ${told}`, () => {
		assert.equal(withOffset(given, 'Europe/Moscow'), told);
	});
}
