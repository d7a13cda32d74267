import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isSuccess, problemOf } from '../dist/nodes/AvitoGateway/problem.js';

test('a success of the gateway is one', () => {
	assert.equal(isSuccess(202, { success: true, command_id: 'c' }), true);
});

test('a problem tells title, detail and code, and a single field once', () => {
	const body = {
		success: false,
		title: 'The request is not valid',
		detail: 'text: This must not be blank.',
		status: 422,
		code: 'validation_failed',
		errors: [{ field: 'text', message: 'This must not be blank.', code: 'blank' }],
	};

	assert.deepEqual(problemOf(422, body), {
		message: body.title,
		description: body.detail,
		httpCode: '422',
		code: body.code,
		fields: body.errors,
	});
});

test('several fields are all told, and the command and the time to wait', () => {
	const found = problemOf(429, {
		success: false,
		title: 'Title',
		detail: 'Detail',
		code: 'queue_full',
		errors: [
			{ field: 'messages[0].text', message: 'A' },
			{ field: 'messages[7].chat_id', message: 'B' },
		],
		command_id: 'c1',
		retry_after: 30,
	});

	assert.equal(
		found.description,
		'Detail\nmessages[0].text: A\nmessages[7].chat_id: B\nCommand: c1\nTry again in 30 s.',
	);
});

for (const [what, status, body] of [
	['a page of a proxy', 502, '<html>Bad Gateway</html>'],
	['a success of something else', 200, '<!doctype html>'],
	['JSON of something else', 200, { ok: true }],
	['nothing', 204, undefined],
	['an error of something else', 404, { message: 'no such route' }],
] as const) {
	test(`${what} is not taken for the gateway`, () => {
		const found = problemOf(status, body);

		assert.equal(isSuccess(status, body), false);
		assert.deepEqual(
			[found.message, found.httpCode, found.code],
			[`HTTP ${status}, and not from the gateway`, String(status), null],
		);
	});
}
