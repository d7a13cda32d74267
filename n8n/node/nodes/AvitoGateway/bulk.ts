import type { IDataObject, IExecuteFunctions, INodeExecutionData } from 'n8n-workflow';

import { failed, fieldsOf, nodeError } from './failures';
import { account, sendFields, text } from './parameters';
import { ask } from './request';

/** What one request may hold. */
const CHUNK = 10_000;

/**
 * Sends the text of each input item, up to 10 000 in a request, and returns for each item its command.
 *
 * The gateway stores a request whole or not at all. Where the node goes on after errors, the items that the gateway
 * names as wrong fail, and the others are sent.
 */
export async function sendBulk(context: IExecuteFunctions): Promise<INodeExecutionData[]> {
	const results: INodeExecutionData[] = [];
	const count = context.getInputData().length;
	for (let start = 0; start < count; start += CHUNK) {
		const items = Array.from({ length: Math.min(CHUNK, count - start) }, (_, at) => start + at);
		results.push(...(await sendChunk(context, items)));
	}
	return results.sort((a, b) => itemOf(a) - itemOf(b));
}

async function sendChunk(
	context: IExecuteFunctions,
	items: number[],
): Promise<INodeExecutionData[]> {
	const results: INodeExecutionData[] = [];
	const first = items[0] ?? 0;
	let left = items;
	while (left.length > 0) {
		try {
			const { commands, batch_id } = await ask(context, {
				method: 'POST',
				path: '/api/messages/send/bulk',
				body: {
					messages: left.map((item) => ({
						chat_id: text(context, 'chatId', item),
						text: text(context, 'text', item),
					})),
					...sendFields(context, first),
				},
				account: account(context, first),
			});
			(commands as IDataObject[]).forEach((command, at) =>
				results.push({ json: { ...command, batch_id }, pairedItem: { item: left[at] ?? first } }),
			);
			return results;
		} catch (error) {
			const wrong = wrongItems(error, left);
			const [named = first] = wrong.keys();
			if (!context.continueOnFail()) throw nodeError(context, error as Error, named);
			for (const item of wrong.size > 0 ? wrong.keys() : left) {
				results.push(failed(context, error as Error, item, wrong.get(item)));
			}
			left = wrong.size > 0 ? left.filter((item) => !wrong.has(item)) : [];
		}
	}
	return results;
}

/** Returns the input items that the error names (`messages[3].text`), each with what is wrong with it. */
function wrongItems(error: unknown, sent: number[]): Map<number, string> {
	const wrong = new Map<number, string>();
	for (const { field, message } of fieldsOf(error)) {
		const item = sent[Number(/^messages\[(\d+)\]/.exec(field)?.[1])];
		if (item !== undefined && !wrong.has(item)) wrong.set(item, message);
	}
	return wrong;
}

function itemOf({ pairedItem }: INodeExecutionData): number {
	return (pairedItem as { item: number }).item;
}
