export function DatasetScreen() {
	return <p>DatasetScreen</p>;
}
