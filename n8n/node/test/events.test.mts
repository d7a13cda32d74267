import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isRepeat, kindOf, unwanted } from '../dist/nodes/AvitoGatewayTrigger/events.js';

const MESSAGE = {
	channel: 'avito',
	external_chat_id: 'u2i-1',
	external_user_id: '7',
	user_id: '1',
	meta: { original_media_type: 'text' },
};
const ALL = { kinds: ['message' as const], textOnly: true, ignoreOwn: true };

test('events are told by their shape', () => {
	const bodies = [
		MESSAGE,
		{ event: 'command.sent' },
		{ event: 'command.failed' },
		{ event: 'x' },
		{},
	];

	assert.deepEqual(bodies.map(kindOf), ['message', 'command.sent', 'command.failed', null, null]);
});

for (const [what, body, wishes, reason] of [
	['a text of a customer', MESSAGE, ALL, null],
	['a picture', { ...MESSAGE, meta: { original_media_type: 'image' } }, ALL, 'it is not a text'],
	[
		'a picture, where everything is asked for',
		{ ...MESSAGE, meta: { original_media_type: 'image' } },
		{ ...ALL, textOnly: false },
		null,
	],
	['an own text', { ...MESSAGE, external_user_id: '1' }, ALL, 'it is an own message'],
	[
		"Avito's text in an own chat",
		{ ...MESSAGE, meta: { original_media_type: 'text', direction: 'out' } },
		ALL,
		'it is an own message',
	],
	[
		'an own text, where they are asked for',
		{ ...MESSAGE, external_user_id: '1' },
		{ ...ALL, ignoreOwn: false },
		null,
	],
	[
		'a message, where only outcomes are asked for',
		MESSAGE,
		{ ...ALL, kinds: ['command.sent' as const] },
		'events of kind message are not asked for',
	],
] as const) {
	test(`${what}: ${reason ?? 'wanted'}`, () => {
		const wished = { ...wishes, kinds: [...wishes.kinds] };

		assert.equal(unwanted('message', body, wished), reason);
	});
}

test('an id is a repeat the second time, until 500 others have come', () => {
	const seen = {};
	const come = (from: number, to: number) =>
		Array.from({ length: to - from }, (_, at) => isRepeat(seen, `m${from + at}`));

	assert.deepEqual([isRepeat(seen, 'm0'), isRepeat(seen, 'm0')], [false, true]);
	assert.equal(come(1, 500).includes(true), false);
	assert.equal(isRepeat(seen, 'm0'), true);
	come(500, 501);
	assert.equal(isRepeat(seen, 'm0'), false);
});
